/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors were made with the official Go module (nkeys 0.4.17), the Rust crates (nkeys 0.4.4, wascap 0.15.3). */
#include "nkeys/nkeys.h"

#include "test.h"

static const struct {
    enum wisp_nkey_kind kind;
    const char *seed, *public, *signature; /* of "hello" */
} vectors[] = {
    {WISP_NKEY_ACCOUNT, "SAAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4HYMHI",
     "AAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3QPZV",
     "4af8qUqDUSeIW5ni66cz1u5b9dxGPtg4Xrbx3KoRF8DxUXUKEPRvWzeWqRIDV49wLIXGfDNLVomlFihNSZ9xDw=="},
    {WISP_NKEY_CLUSTER, "SCACQKJKFMWC2LRPGAYTEMZUGU3DOOBZHI5TYPJ6H5AECQSDIRCUMR4MZI",
     "CCEOI5UVIREUBPB4NIVMN72S5IEPVPV43B6FTVMK2S4TBVQHU5QNCL4E",
     "RD8s7yapRKGaWQoS1Qm4bUAIsP7eV9hd0u6X785Xsdo5bJHH+prgMxqbHSL09+8Ag3wPoLXCVkl6W8TEXyvRAg=="},
    {WISP_NKEY_SERVER, "SNAFAUKSKNKFKVSXLBMVUW24LVPF6YDBMJRWIZLGM5UGS2TLNRWW436R4M",
     "NA7XOCGV6XGCXRRTWWOSWORO3EXHI6JCBRXQRLPCBC7LZWCYBK4TXRXC",
     "DAI8Y82fBltQI1qdiOAxXRx5WMiBQ88TLwZKIHM0DZZsTETXrMS5lqv6Ph6W09N/ath5p031qopC6xZOBCSTDQ=="},
    {WISP_NKEY_OPERATOR, "SOAHQ6L2PN6H27T7QCAYFA4EQWDIPCEJRKFYZDMOR6IJDEUTSSKZNFZ5NE",
     "ODYUV4DGJLYOT6PSJ4M6JBNAXCOZWVK2DZBG44DJAVVLKDL63RUFG6DL",
     "/DWYv2Omywnq1xSWM7gefovLPyfUGtt8En4zBtuwVcvELZ+hNTUPc9hO0Zy9l42/Z39t32BsH4ZQAXaarGY2CA=="},
    {WISP_NKEY_USER, "SUAKBINCUOSKLJVHVCU2VK5MVWXK7MFRWKZ3JNNWW64LTOV3XS635P565Y",
     "UBH5BGOM2R6XRE675HWCIQKOZMGZWVBAEMVK2MGZDRDFXYZ4XZS4JMII",
     "7wiJS84QsGloVAqKvfGYSbiI+2fipmjz/Tve6ug9fcnKq1AJN7vG5v5fFsa9fJ9+Khlga4g8H0mgcX66jt36Ag=="},
    {WISP_NKEY_CURVE, "SXAACAQDAQCQMBYIBEFAWDANBYHRAEISCMKBKFQXDAMRUGY4DUPB6IC6WE",
     "XAD2G7F4CQQJHSFXKXOBWEHINS2CMN2K2FVKQU7NBPP4BMVYNUOHZWPX", NULL},
    {WISP_NKEY_CURVE, "SXAGKZTHNBUWU23MNVXG64DROJZXI5LWO54HS6T3PR6X474AQGBIHBH67I",
     "XBLRI5U5CFV7OZBWVZ2LY6J5FQYK2GIDYWNMKJZYAXD6E2MLIEGDMZ4H", NULL},
    {WISP_NKEY_MODULE, "SMAAGCQRDAPSMLJUHNBESUCXLZSWY432QGEI7FU5USV3FOOAY7HNLXGXFA",
     "MB2VYTFZEVWKPTOEVT64NT7O3KCJAF7FXH4VCTUZDEN5M7QLBVBHMAGT",
     "o6cMgvGJfoPEzN2bFOebxn1ghUCXlXtz9e0zCfK0qghWFnZDxtM9/U0P284fHr3uyEjL6LxQ7qcwhn2lcfMSCA=="},
    {WISP_NKEY_SERVICE, "SVAAGCQRDAPSMLJUHNBESUCXLZSWY432QGEI7FU5USV3FOOAY7HNLXDLGM",
     "VB2VYTFZEVWKPTOEVT64NT7O3KCJAF7FXH4VCTUZDEN5M7QLBVBHMZ2Y",
     "o6cMgvGJfoPEzN2bFOebxn1ghUCXlXtz9e0zCfK0qghWFnZDxtM9/U0P284fHr3uyEjL6LxQ7qcwhn2lcfMSCA=="},
};

static struct wisp_nkey seed_key(const char *text)
{
    struct wisp_nkey key;
    struct wisp_err err = {0};
    CHECK_OK(wisp_nkey_from_seed(wisp_str_from(text), &key, &err), &err);
    return key;
}

TEST(vectors)
{
    for (size_t i = 0; i < WISP_COUNT(vectors); i++) {
        struct wisp_nkey key = seed_key(vectors[i].seed);
        char text[WISP_NKEY_SEED_LEN + 1];
        uint8_t signature[WISP_NKEY_SIGNATURE_SIZE], public[32];
        enum wisp_nkey_kind kind;
        struct wisp_err err = {0};
        CHECK_INT(key.kind, vectors[i].kind);
        wisp_nkey_seed_text(&key, text);
        CHECK_TEXT(text, vectors[i].seed);
        wisp_nkey_public_text(&key, text);
        CHECK_TEXT(text, vectors[i].public);
        CHECK_OK(wisp_nkey_parse_public(wisp_str_from(vectors[i].public), &kind, public, &err), &err);
        CHECK_INT(kind, vectors[i].kind);
        CHECK(memcmp(public, key.public, 32) == 0);
        if (!vectors[i].signature) continue;
        WISP_CLEANUP_BUF struct wisp_buf encoded = {0};
        wisp_nkey_sign(&key, WISP_STR("hello"), signature);
        wisp_base64_encode((struct wisp_str){(char *)signature, sizeof signature}, &encoded);
        CHECK_STR(wisp_buf_str(&encoded), vectors[i].signature);
        CHECK(wisp_nkey_verify(public, WISP_STR("hello"), signature));
        CHECK(!wisp_nkey_verify(public, WISP_STR("hellp"), signature));
        signature[40] ^= 1;
        CHECK(!wisp_nkey_verify(public, WISP_STR("hello"), signature));
    }
}

TEST(generated_keys_survive_their_text)
{
    for (int kind = 0; kind < WISP_NKEY_KIND_COUNT; kind++) {
        struct wisp_nkey key, again;
        char text[WISP_NKEY_SEED_LEN + 3];
        struct wisp_err err = {0};
        wisp_nkey_generate(&key, (enum wisp_nkey_kind)kind);
        text[0] = ' ';
        wisp_nkey_seed_text(&key, text + 1);
        strcat(text, "\n");
        CHECK_OK(wisp_nkey_from_seed(wisp_str_from(text), &again, &err), &err);
        CHECK(again.kind == key.kind && !memcmp(again.seed, key.seed, 32) && !memcmp(again.public, key.public, 32));
        wisp_nkey_wipe(&again);
        static const uint8_t zeros[32];
        CHECK(memcmp(again.seed, zeros, 32) == 0);
    }
}

TEST(wrong_texts)
{
    static const char *const wrong[] = {
        "",
        "S",
        "SAAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4HYMH",   /* too short */
        "SAAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4HYMHIA", /* too long */
        "SAAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4HYMHJ",  /* bits left over */
        "SAAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4HZMHI",  /* checksum */
        "saaaaaicamcakbqhbaequcymbuha6earcijrifiwc4mbsgq3dqor4hymhi",
        "AAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3QPZV",
        "SAAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4HY1HI",
    };
    for (size_t i = 0; i < WISP_COUNT(wrong); i++) {
        struct wisp_nkey key;
        struct wisp_err err = {0};
        CHECK_FAILS(wisp_nkey_from_seed(wisp_str_from(wrong[i]), &key, &err), INVALID);
        CHECK(strlen(wrong[i]) < 8 || !strstr(err.text, wrong[i]));
    }
    enum wisp_nkey_kind kind;
    uint8_t public[32];
    CHECK_FAILS(wisp_nkey_parse_public(wisp_str_from(vectors[0].seed), &kind, public, NULL), INVALID);
    CHECK_FAILS(wisp_nkey_parse_public(WISP_STR("AAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3QPZA"), &kind,
                                       public, NULL),
                INVALID);
}

static void open_box(const char *recipient, const char *sender, const char *box, const char *expected)
{
    struct wisp_nkey to = seed_key(recipient), from = seed_key(sender);
    WISP_CLEANUP_BUF struct wisp_buf sealed = {0}, plain = {0};
    struct wisp_err err = {0};
    CHECK_OK(wisp_base64_decode(wisp_str_from(box), &sealed, &err), &err);
    CHECK_OK(wisp_xkey_open(&to, from.public, wisp_buf_str(&sealed), &plain, &err), &err);
    CHECK_STR(wisp_buf_str(&plain), expected);
}

static const char alice[] = "SXAACAQDAQCQMBYIBEFAWDANBYHRAEISCMKBKFQXDAMRUGY4DUPB6IC6WE";
static const char bob[] = "SXAGKZTHNBUWU23MNVXG64DROJZXI5LWO54HS6T3PR6X474AQGBIHBH67I";

TEST(boxes_of_others)
{
    open_box(bob, alice, "eGt2MQcICQoLDA0ODxAREhMUFRYXGBkaGxwdHsqjxbLVIe1nxqdf6zTLYFrIY2No7AbGc35a", "the secret");
    open_box(bob, alice, "eGt2MQkKCwwNDg8QERITFBUWFxgZGhscHR4fIDuoEjT6QQup+mmU40VtBn8=", "");
    open_box("SXAE2TKNJVGU2TKNJVGU2TKNJVGU2TKNJVGU2TKNJVGU2TKNJVGU2TLYGM",
             "SXAASCIJBEEQSCIJBEEQSCIJBEEQSCIJBEEQSCIJBEEQSCIJBEEQSCKESY",
             "eGt2MRTZjD1pBHOvNxO1Kgcl/rCQZhcJfF98BEzR8q5O9zpKO4PxrGHMrXGNItwvaWAK190=", "from rust");
}

TEST(boxes)
{
    struct wisp_nkey to = seed_key(bob), from = seed_key(alice);
    WISP_CLEANUP_BUF struct wisp_buf sealed = {0}, plain = {0};
    struct wisp_err err = {0};
    wisp_xkey_seal(&from, to.public, WISP_STR("for your eyes"), &sealed);
    CHECK_INT(sealed.len, 13 + WISP_XKEY_OVERHEAD);
    CHECK_OK(wisp_xkey_open(&to, from.public, wisp_buf_str(&sealed), &plain, &err), &err);
    CHECK_STR(wisp_buf_str(&plain), "for your eyes");
    CHECK_FAILS(wisp_xkey_open(&to, to.public, wisp_buf_str(&sealed), &plain, &err), DENIED);
    sealed.data[sealed.len - 1] ^= 1;
    CHECK_FAILS(wisp_xkey_open(&to, from.public, wisp_buf_str(&sealed), &plain, &err), DENIED);
    sealed.data[0] = 'y';
    CHECK_FAILS(wisp_xkey_open(&to, from.public, wisp_buf_str(&sealed), &plain, &err), INVALID);
    CHECK_FAILS(wisp_xkey_open(&to, from.public, WISP_STR("xkv1short"), &plain, &err), INVALID);
    CHECK_INT(plain.len, 13);
}

TEST(base64)
{
    static const struct {
        const char *bytes, *standard, *url;
    } pairs[] = {
        {"", "", ""}, {"f", "Zg==", "Zg"}, {"fo", "Zm8=", "Zm8"}, {"foo", "Zm9v", "Zm9v"}, {"\xfb\xff", "+/8=", "-_8"}};
    for (size_t i = 0; i < WISP_COUNT(pairs); i++) {
        WISP_CLEANUP_BUF struct wisp_buf text = {0}, bytes = {0};
        struct wisp_err err = {0};
        wisp_base64_encode(wisp_str_from(pairs[i].bytes), &text);
        CHECK_STR(wisp_buf_str(&text), pairs[i].standard);
        text.len = 0;
        wisp_base64url_encode(wisp_str_from(pairs[i].bytes), &text);
        CHECK_STR(wisp_buf_str(&text), pairs[i].url);
        CHECK_OK(wisp_base64_decode(wisp_str_from(pairs[i].standard), &bytes, &err), &err);
        CHECK_STR(wisp_buf_str(&bytes), pairs[i].bytes);
        bytes.len = 0;
        CHECK_OK(wisp_base64url_decode(wisp_str_from(pairs[i].url), &bytes, &err), &err);
        CHECK_STR(wisp_buf_str(&bytes), pairs[i].bytes);
    }
}

TEST(base64_wrong)
{
    static const char *const wrong[] = {"Z", "Zg=", "Zh==", "Zm 9v", "Zm9v\n", "Zm9v====", "-_8=", "A\x91J3", "===="};
    WISP_CLEANUP_BUF struct wisp_buf bytes = {0};
    for (size_t i = 0; i < WISP_COUNT(wrong); i++)
        CHECK_FAILS(wisp_base64_decode(wisp_str_from(wrong[i]), &bytes, NULL), INVALID);
    CHECK_FAILS(wisp_base64url_decode(WISP_STR("Zg=="), &bytes, NULL), INVALID);
    CHECK_FAILS(wisp_base64url_decode(WISP_STR("+/8"), &bytes, NULL), INVALID);
    CHECK_INT(bytes.len, 0);
}

TEST(jwt)
{
    struct wisp_nkey issuer = seed_key(vectors[0].seed);
    WISP_CLEANUP_BUF struct wisp_buf claims = {0}, token = {0}, verified = {0};
    struct wisp_err err = {0};
    wisp_buf_printf(&claims, "{\"iss\":\"%s\",\"sub\":\"x\"}", vectors[0].public);
    wisp_jwt_sign(&issuer, wisp_buf_str(&claims), &token);
    CHECK_OK(wisp_jwt_verify(wisp_buf_str(&token), &verified, &err), &err);
    CHECK(wisp_str_equal(wisp_buf_str(&verified), wisp_buf_str(&claims)));

    /* Signed by somebody else. */
    struct wisp_nkey other = seed_key(vectors[3].seed);
    token.len = verified.len = 0;
    wisp_jwt_sign(&other, wisp_buf_str(&claims), &token);
    CHECK_FAILS(wisp_jwt_verify(wisp_buf_str(&token), &verified, &err), DENIED);
    CHECK_INT(verified.len, 0);

    token.len = 0;
    wisp_jwt_sign(&issuer, WISP_STR("{\"iss\":\"nobody\"}"), &token);
    CHECK_FAILS(wisp_jwt_verify(wisp_buf_str(&token), &verified, &err), INVALID);
    CHECK_FAILS(wisp_jwt_verify(WISP_STR("a.b"), &verified, &err), INVALID);
    /* {"typ":"jwt","alg":"none"} */
    CHECK_FAILS(wisp_jwt_verify(WISP_STR("eyJ0eXAiOiJqd3QiLCJhbGciOiJub25lIn0.e30."), &verified, &err), UNSUPPORTED);
}

TEST(jwt_of_others)
{
    WISP_CLEANUP_BUF struct wisp_buf claims = {0};
    struct wisp_err err = {0};
    static const char token[] =
        "eyJ0eXAiOiJqd3QiLCJhbGciOiJFZDI1NTE5In0.eyJqdGkiOiJKdU9wRE5HbUp1dDM3TXBjR3c3S1NEIiwiaWF0Ij"
        "oxNzk1Mzg1ODA0LCJpc3MiOiJBQlhIVUhHNUZHWUxQRDZSSEwyTUtXTVA1NzJPNktVWENaWERaSlhTNFQ1N1pUTUFL"
        "Qk43REFRSSIsInN1YiI6Ik1DRklPWDc3RDJaWUlVS1hQTEdWVjdYRUFWQ1dLMkc1UFNFNkJFRUdISUNWUFBEMjZTUF"
        "JPNTQ2Iiwid2FzY2FwIjp7Im5hbWUiOiJTaWduZWQiLCJoYXNoIjoiQjAwOTZFNUU0MUFGNDlBNDZFNTE4RkRFOUIx"
        "QTRCMkI3QThCRENGQUY0OUE1MDk0MjE5ODQzRjMyRUM2NzQ0QiIsInRhZ3MiOlsib25lIiwidHdvIl0sInJldiI6NC"
        "widmVyIjoiMS4yLjMiLCJjYWxsX2FsaWFzIjoiYW4vYWxpYXMiLCJwcm92IjpmYWxzZX0sIndhc2NhcF9yZXZpc2lv"
        "biI6M30.QEcnr-oQH1TCxFQTWzjQdU2xse4EIkQS97lYstVlTZR3xoBJT3r7-04y-27Lvg9hg9ZaAIHvfkPMdYYRJj"
        "2uCA";
    CHECK_OK(wisp_jwt_verify(wisp_str_from(token), &claims, &err), &err);
    CHECK(memmem(claims.data, claims.len, "wascap_revision", 15));
}

TEST(creds)
{
    static const char file[] = "-----BEGIN NATS USER JWT-----\r\n"
                               "eyJ0.e30.c2ln\r\n"
                               "------END NATS USER JWT------\r\n"
                               "\r\n"
                               "************************* IMPORTANT *************************\r\n"
                               "NKEY Seed printed below can be used to sign and prove identity.\r\n"
                               "\r\n"
                               "-----BEGIN USER NKEY SEED-----\r\n"
                               "SUAKBINC\r\n"
                               "------END USER NKEY SEED------\r\n";
    struct wisp_str jwt, seed;
    struct wisp_err err = {0};
    CHECK_OK(wisp_creds_parse(wisp_str_from(file), &jwt, &seed, &err), &err);
    CHECK_STR(jwt, "eyJ0.e30.c2ln");
    CHECK_STR(seed, "SUAKBINC");
    CHECK_FAILS(wisp_creds_parse((struct wisp_str){file, 150}, &jwt, &seed, &err), INVALID);
    CHECK_FAILS(wisp_creds_parse(WISP_STR(""), &jwt, &seed, &err), INVALID);
    CHECK_FAILS(wisp_creds_parse(WISP_STR("-----a-----\n-----b-----\n"), &jwt, &seed, &err), INVALID);
}
