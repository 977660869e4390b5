# SPDX-License-Identifier: Apache-2.0
"""Provider archives as wash makes them: a tar file with an executable and claims, signed with Ed25519 (RFC 8032, by
hand: it need not be fast)."""

import base64
import hashlib
import io
import json
import os
import platform
import tarfile

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
I = pow(2, (P - 1) // 4, P)


def recover_x(y):
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P)
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * I % P
    return P - x if x % 2 else x


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = (recover_x(BASE_Y), BASE_Y, 1, recover_x(BASE_Y) * BASE_Y % P)


def add(a, b):
    e = (a[1] - a[0]) * (b[1] - b[0]) % P
    f = (a[1] + a[0]) * (b[1] + b[0]) % P
    g = 2 * D * a[3] * b[3] % P
    h = 2 * a[2] * b[2] % P
    return ((f - e) * (h - g) % P, (h + g) * (f + e) % P, (h - g) * (h + g) % P, (f - e) * (f + e) % P)


def multiply(point, number):
    result = (0, 1, 1, 0)
    while number:
        if number & 1:
            result = add(result, point)
        point = add(point, point)
        number >>= 1
    return result


def encode(point):
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def nkey(prefix, key):
    """32 bytes as nkeys write them; prefix 0 is an account's, 21 << 3 a provider's, 23 << 3 a curve key's."""
    raw = bytes([prefix]) + key
    crc = 0
    for byte in raw:
        crc ^= byte << 8
        for _ in range(8):
            crc = crc << 1 ^ (0x1021 if crc & 0x8000 else 0)
        crc &= 0xffff
    return base64.b32encode(raw + crc.to_bytes(2, "little")).decode().rstrip("=")


def nkey_bytes(text):
    return base64.b32decode(text + "=" * (-len(text) % 8))[1:33]


class Key:
    def __init__(self):
        digest = hashlib.sha512(os.urandom(32)).digest()
        self.scalar = int.from_bytes(digest[:32], "little") & (2**254 - 8) | 2**254
        self.prefix = digest[32:]
        self.public = encode(multiply(BASE, self.scalar))

    def sign(self, message):
        r = int.from_bytes(hashlib.sha512(self.prefix + message).digest(), "little") % L
        point = encode(multiply(BASE, r))
        k = int.from_bytes(hashlib.sha512(point + self.public + message).digest(), "little") % L
        return point + ((r + k * self.scalar) % L).to_bytes(32, "little")


def part(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def token(hashes, breaks_signature=False):
    account, service = Key(), Key()
    claims = {"jti": "x", "iat": 1700000000, "iss": nkey(0, account.public), "sub": nkey(21 << 3, service.public),
              "wascap": {"name": "scripted", "vendor": "tests", "target_hashes": hashes}, "wascap_revision": 3}
    head = part(json.dumps({"typ": "jwt", "alg": "Ed25519"}).encode())
    if breaks_signature:
        signature = Key().sign(head)
    body = head + b"." + part(json.dumps(claims).encode())
    if not breaks_signature:
        signature = account.sign(body)
    return body + b"." + part(signature)


def write(path, program, signed=None, breaks_signature=False):
    """An archive with the program's bytes; its claims are for `signed`, if those are others."""
    target = platform.machine() + "-linux"
    digest = hashlib.sha256(program if signed is None else signed).hexdigest().upper()
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, data in (("claims.jwt", token({target: digest}, breaks_signature)), (target + ".bin", program)):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path
