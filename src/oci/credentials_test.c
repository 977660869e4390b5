/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/credentials.h"

#include "test.h"

#include <stdlib.h>

static void check(const char *config, const char *registry, const char *user, const char *password, const char *helper)
{
    struct wisp_oci_login login;
    WISP_CLEANUP_FREE char *found = NULL;
    struct wisp_err err = {0};
    CHECK_OK(wisp_oci_docker_config_read(wisp_str_from(config), registry, &login, &found, &err), &err);
    CHECK_TEXT(login.user ? login.user : "-", user);
    CHECK_TEXT(login.password ? login.password : "-", password);
    CHECK_TEXT(found ? found : "-", helper);
    wisp_oci_login_deinit(&login);
}

TEST(docker_config)
{
    check("{}", "r.io", "-", "-", "-");
    check("{\"auths\":{\"r.io\":{\"auth\":\"dTpwOnE=\"}}}", "r.io", "u", "p:q", "-");
    check("{\"auths\":{\"r.io\":{\"username\":\"u\",\"password\":\"p\"}}}", "r.io", "u", "p", "-");
    check("{\"auths\":{\"http://r.io/v1\":{\"auth\":\"dTpw\"}}}", "r.io", "u", "p", "-");
    check("{\"auths\":{\"r.io:5000\":{\"auth\":\"dTpw\"}}}", "r.io", "-", "-", "-");
    check("{\"auths\":{\"https://index.docker.io/v1/\":{\"auth\":\"dTpw\"}}}", "docker.io", "u", "p", "-");
    check("{\"auths\":{\"r.io\":{}},\"credsStore\":\"all\"}", "r.io", "-", "-", "all");
    check("{\"credHelpers\":{\"r.io\":\"one\"},\"credsStore\":\"all\"}", "r.io", "-", "-", "one");
    check("{\"credHelpers\":{\"s.io\":\"one\"},\"credsStore\":\"all\"}", "r.io", "-", "-", "all");
}

TEST(wrong_docker_config)
{
    static const char *const wrong[] = {"", "{secret", "{\"auths\":{\"r.io\":{\"auth\":\"secret!\"}}}",
                                        "{\"auths\":{\"r.io\":{\"auth\":\"dXA=\"}}}", "{\"credsStore\":\"../secret\"}"};
    for (size_t i = 0; i < WISP_COUNT(wrong); i++) {
        struct wisp_oci_login login;
        char *helper;
        struct wisp_err err = {0};
        CHECK_FAILS(wisp_oci_docker_config_read(wisp_str_from(wrong[i]), "r.io", &login, &helper, &err), INVALID);
        CHECK(!strstr(err.text, "secret"));
    }
}
