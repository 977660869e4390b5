/* SPDX-License-Identifier: Apache-2.0 */
/* The error codes of wasi:http and wrpc:http, in the order of their cases: enumerator, name, and the status of the
 * response when a component gives this error instead of a response. */
#pragma once

#define WISP_HTTP_ERROR_CODES(X) \
    X(DNS_TIMEOUT, "DNS-timeout", 504) \
    X(DNS_ERROR, "DNS-error", 502) \
    X(DESTINATION_NOT_FOUND, "destination-not-found", 502) \
    X(DESTINATION_UNAVAILABLE, "destination-unavailable", 503) \
    X(DESTINATION_IP_PROHIBITED, "destination-IP-prohibited", 502) \
    X(DESTINATION_IP_UNROUTABLE, "destination-IP-unroutable", 502) \
    X(CONNECTION_REFUSED, "connection-refused", 502) \
    X(CONNECTION_TERMINATED, "connection-terminated", 502) \
    X(CONNECTION_TIMEOUT, "connection-timeout", 504) \
    X(CONNECTION_READ_TIMEOUT, "connection-read-timeout", 504) \
    X(CONNECTION_WRITE_TIMEOUT, "connection-write-timeout", 504) \
    X(CONNECTION_LIMIT_REACHED, "connection-limit-reached", 503) \
    X(TLS_PROTOCOL_ERROR, "TLS-protocol-error", 502) \
    X(TLS_CERTIFICATE_ERROR, "TLS-certificate-error", 502) \
    X(TLS_ALERT_RECEIVED, "TLS-alert-received", 502) \
    X(REQUEST_DENIED, "HTTP-request-denied", 403) \
    X(REQUEST_LENGTH_REQUIRED, "HTTP-request-length-required", 411) \
    X(REQUEST_BODY_SIZE, "HTTP-request-body-size", 413) \
    X(REQUEST_METHOD_INVALID, "HTTP-request-method-invalid", 405) \
    X(REQUEST_URI_INVALID, "HTTP-request-URI-invalid", 400) \
    X(REQUEST_URI_TOO_LONG, "HTTP-request-URI-too-long", 414) \
    X(REQUEST_HEADER_SECTION_SIZE, "HTTP-request-header-section-size", 431) \
    X(REQUEST_HEADER_SIZE, "HTTP-request-header-size", 431) \
    X(REQUEST_TRAILER_SECTION_SIZE, "HTTP-request-trailer-section-size", 431) \
    X(REQUEST_TRAILER_SIZE, "HTTP-request-trailer-size", 431) \
    X(RESPONSE_INCOMPLETE, "HTTP-response-incomplete", 502) \
    X(RESPONSE_HEADER_SECTION_SIZE, "HTTP-response-header-section-size", 502) \
    X(RESPONSE_HEADER_SIZE, "HTTP-response-header-size", 502) \
    X(RESPONSE_BODY_SIZE, "HTTP-response-body-size", 502) \
    X(RESPONSE_TRAILER_SECTION_SIZE, "HTTP-response-trailer-section-size", 502) \
    X(RESPONSE_TRAILER_SIZE, "HTTP-response-trailer-size", 502) \
    X(RESPONSE_TRANSFER_CODING, "HTTP-response-transfer-coding", 502) \
    X(RESPONSE_CONTENT_CODING, "HTTP-response-content-coding", 502) \
    X(RESPONSE_TIMEOUT, "HTTP-response-timeout", 504) \
    X(UPGRADE_FAILED, "HTTP-upgrade-failed", 502) \
    X(PROTOCOL_ERROR, "HTTP-protocol-error", 502) \
    X(LOOP_DETECTED, "loop-detected", 508) \
    X(CONFIGURATION_ERROR, "configuration-error", 500) \
    X(INTERNAL_ERROR, "internal-error", 500)

enum wisp_http_error_code {
#define X(name, ...) WISP_HTTP_ERROR_##name,
    WISP_HTTP_ERROR_CODES(X)
#undef X
        WISP_HTTP_ERROR_COUNT
};

/* The payloads of the cases, as signatures have them (component/host.h); it needs field-size. */
#define WISP_HTTP_ERROR_CODE_TYPE \
    "error-code = variant{" /* DNS */ "_, record{option<string>, option<u16>}, " /* destination */ "_, _, _, _, " \
    /* connection */ "_, _, _, _, _, _, " /* TLS */ "_, _, record{option<u8>, option<string>}, " \
    /* request */ "_, _, option<u64>, _, _, _, option<u32>, option<field-size>, option<u32>, field-size, " \
    /* response */ "_, option<u32>, field-size, option<u64>, option<u32>, field-size, option<string>, option<string>, " \
    "_, " /* the rest */ "_, _, _, _, option<string>}"
