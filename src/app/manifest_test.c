/* SPDX-License-Identifier: Apache-2.0 */
#include "app/manifest.h"

#include "base/json.h"

#include "test.h"

#include <stdlib.h>

static struct wisp_arena arena; /* for the life of the process, which is that of one test */
static struct wisp_app_problems problems;

static int parse(const char *text, bool is_lenient, struct wisp_app_manifest *manifest, struct wisp_err *err)
{
    *err = (struct wisp_err){0};
    return wisp_app_manifest_parse(manifest, &arena, wisp_str_from(text), WISP_APP_YAML_OR_JSON, is_lenient, &problems,
                                   err);
}

static const char shop[] =
    "apiVersion: core.oam.dev/v1beta1\n"
    "kind: Application\n"
    "metadata:\n"
    "  name: hello-World\n"
    "  annotations: {version: v1.2.0, description: \"a demo\"}\n"
    "spec:\n"
    "  policies:\n"
    "    - {name: vault, type: policy.secret.wasmcloud.dev/v1alpha1, properties: {backend: nats-kv, role: reader}}\n"
    "  components:\n"
    "    - name: http-comp\n"
    "      type: component\n"
    "      properties:\n"
    "        image: reg.io/c:1\n"
    "        config: [{name: cc, properties: {mode: fast}}, {name: extern}]\n"
    "        secrets: [{name: pw, properties: {policy: vault, key: db-pw, version: \"3\"}}]\n"
    "      traits:\n"
    "        - type: spreadscaler\n"
    "          properties:\n"
    "            instances: 10\n"
    "            spread: [{name: east, requirements: {zone: east}, weight: 80}, {name: west, requirements: {zone: "
    "west}}]\n"
    "        - type: link\n"
    "          properties: {target: {name: my-kv, config: [{name: url, properties: {url: \"127.0.0.1\"}}]}, namespace: "
    "wasi,\n"
    "            package: keyvalue, interfaces: [store, atomics]}\n"
    "    - {name: my-kv, type: capability, properties: {image: reg.io/kv:1}}\n"
    "    - name: http\n"
    "      type: capability\n"
    "      properties: {application: {name: shared-http, component: HttpServer}}\n"
    "      traits: [{type: link, properties: {target: http-comp, namespace: wasi, package: http, interfaces: "
    "[incoming-handler],\n"
    "        source: {config: [{name: addr, properties: {address: \"0.0.0.0:8080\"}}]}}}]\n";

TEST(a_manifest_with_everything)
{
    struct wisp_app_manifest manifest;
    struct wisp_err err;
    CHECK_OK(parse(shop, false, &manifest, &err), &err);
    CHECK_INT(problems.n, 0);
    CHECK_STR(manifest.version, "v1.2.0");
    CHECK_INT(manifest.n_components, 3);
    const struct wisp_app_component *http = &manifest.components[0], *kv = &manifest.components[1];
    CHECK_STR(http->id, "hello_world-http_comp");
    CHECK(!http->is_provider && kv->is_provider);
    CHECK_INT(http->scalers[0].instances, 10);
    CHECK_INT(http->scalers[0].n_spreads, 2);
    CHECK_INT(http->scalers[0].spreads[1].weight, 100);
    CHECK_STR(wisp_json_str(http->scalers[0].spreads[0].requirements, "zone"), "east");
    CHECK_STR(http->links[0].name, "default");
    CHECK_INT(http->links[0].n_interfaces, 2);
    CHECK_STR(http->links[0].target_side.configs[0].name, "url");
    CHECK_STR(wisp_app_config_name(&arena, manifest.name, &http->configs[0]), "hello_world-cc");
    CHECK_STR(wisp_app_config_name(&arena, manifest.name, &http->configs[1]), "extern");
    CHECK_STR(wisp_app_secret_name(&arena, manifest.name, &http->secrets[0]), "SECRET_hello_world-pw");
    CHECK_INT(kv->n_scalers, 1);
    CHECK_INT(kv->scalers[0].instances, 1);
    CHECK_STR(manifest.components[2].id, "shared_http-httpserver");
    WISP_CLEANUP_JSON json_t *secret = wisp_app_secret_config(&manifest, &http->secrets[0]);
    CHECK_STR(wisp_json_str(secret, "backend"), "nats-kv");
    CHECK_STR(wisp_json_str(secret, "policy"),
              "{\"type\":\"properties.secret.wasmcloud.dev/v1alpha1\",\"properties\":{\"role\":\"reader\"}}");
    wisp_app_manifest_deinit(&manifest);
}

TEST(what_is_written_is_read_as_the_same)
{
    struct wisp_app_manifest manifest, again;
    struct wisp_err err;
    CHECK_OK(parse(shop, false, &manifest, &err), &err);
    CHECK_OK(wisp_app_manifest_from_json(&again, &arena, manifest.json, &err), &err);
    CHECK(json_equal(manifest.json, again.json));
    wisp_app_manifest_deinit(&again);
    WISP_CLEANUP_BUF struct wisp_buf yaml = {0};
    wisp_app_yaml_print(manifest.json, &yaml);
    wisp_buf_append_char(&yaml, 0);
    CHECK_OK(parse(yaml.data, false, &again, &err), &err);
    CHECK(json_equal(manifest.json, again.json));
    wisp_app_manifest_deinit(&again);
    wisp_app_manifest_deinit(&manifest);
}

#define HEAD                                                                                                           \
    "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: a, annotations: {}}\nspec:\n  "             \
    "components:\n"
#define COMPONENT                                                                                                      \
    "  - {name: c, type: component, properties: {image: i}, traits: [{type: spreadscaler, properties: {instances: "    \
    "1}}]}\n"

TEST(deprecated_forms_become_new_ones)
{
    struct wisp_app_manifest manifest;
    struct wisp_err err;
    CHECK_OK(
        parse(HEAD
              "  - {name: p, type: capability, properties: {image: i}, traits: [{type: link, properties: {target: c,\n"
              "      namespace: wasi, package: http, interfaces: [incoming-handler],\n"
              "      source_config: [{name: x, properties: {a: b}}], target_config: [{name: y}]}}]}\n"
              "  - {name: c, type: actor, properties: {image: i}, traits: [{type: daemonscaler, properties: {replicas: "
              "2}}]}\n",
              false, &manifest, &err),
        &err);
    CHECK_INT(problems.n, 2);
    CHECK(!problems.list[0].is_error);
    CHECK_HAS(problems.list[0].text, "deprecated");
    CHECK_STR(manifest.components[0].links[0].source_side.configs[0].name, "x");
    CHECK_STR(manifest.components[0].links[0].target_side.configs[0].name, "y");
    CHECK(manifest.components[1].scalers[0].is_daemon);
    CHECK_INT(manifest.components[1].scalers[0].instances, 2);
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_json_print(manifest.json, &text);
    wisp_buf_append_char(&text, 0);
    CHECK_HAS(text.data, "\"source\":{\"config\":[{\"name\":\"x\"");
    CHECK_HAS(text.data, "\"instances\":2");
    CHECK(!strstr(text.data, "replicas") && !strstr(text.data, "actor") && !strstr(text.data, "source_config"));
    wisp_app_manifest_deinit(&manifest);
}

struct bad {
    const char *text, *message;
};

static const struct bad bad[] = {
    {"", "the document is empty"},
    {"- a\n", "line 1, column 1: expected a map, where there is a list"},
    {"a: [1, 2\n", "line 2"},
    {"a: &x [*x]\n", "an alias inside of what it stands for"},
    {"a: *x\n", "an anchor that is not there"},
    {"a: 1\n---\nb: 2\n", "there is a second document"},
    {"apiVersion: foo/v9\nkind: Application\nmetadata: {name: a, annotations: {}}\nspec: {components: []}\n",
     "line 1, column 13: apiVersion: expected `core.oam.dev/v1beta1`"},
    {HEAD "  - {nmae: c, type: component, properties: {image: i}}\n", "unknown key `nmae`; did you mean `name`?"},
    {HEAD "  - {name: c, name: d, type: component, properties: {image: i}}\n",
     "`name` is there twice, first in line 6"},
    {HEAD "  - {name: c, type: widget, properties: {image: i}}\n", "not `widget`"},
    {HEAD "  - {name: c, type: component, properties: {}}\n", "`image` is missing"},
    {HEAD "  - {name: c, type: component, properties: {image: i, application: {name: b, component: c}}}\n",
     "either `image` or `application`"},
    {HEAD "  - {name: c, type: component, properties: {image: i, config: [{name: x, properties: {port: 8080}}]}}\n",
     "spec.components[0].properties.config[0].properties: expected a text, where there is a number; write it in "
     "quotes: "
     "\"8080\""},
    {HEAD "  - {name: c, type: component, properties: {image: i}, traits: [{type: spreadscaler, properties: "
          "{instances: -1}}]}\n",
     "-1 is not between 0 and 1000000"},
    {HEAD "  - {name: c, type: component, properties: {image: i}, traits: [{type: spreadscaler, properties: "
          "{instances: many}}]}\n",
     "expected a whole number, where there is a text"},
    {HEAD
     "  - {name: c, type: component, properties: {image: i}, traits: [{type: spreadscaler, properties: {instances: 5, "
     "spread: [{name: a, requirements: {}, weight: 0}]}}]}\n",
     "all weights are 0"},
    {HEAD
     "  - {name: c, type: component, properties: {image: i}, traits: [{type: spreadscaler, properties: {instances: 5, "
     "spread: [{name: a, requirements: {x: \"1\"}}, {name: b, requirements: {x: \"1\"}}]}}]}\n",
     "want the same hosts"},
    {HEAD
     "  - {name: c, type: component, properties: {image: i}, traits: [{type: link, properties: {instances: 1}}]}\n",
     "unknown key `instances`"},
    {HEAD
     "  - {name: c, type: component, properties: {image: i}, traits: [{type: link, properties: {target: d, namespace: "
     "null, package: p, interfaces: store}}]}\n",
     "namespace: expected a text, where there is nothing"},
    {HEAD COMPONENT COMPONENT, "there are two components `c`, the first is in line 6"},
    {HEAD COMPONENT
     "  - {name: d, type: component, properties: {image: i}, traits: [{type: link, properties: {target: cc, "
     "namespace: acme, package: p, interfaces: [x]}}]}\n",
     "the link leads to `cc`, which is no component of this application; did you mean `c`?"},
    {HEAD "  - {name: a-b, type: component, properties: {image: i}}\n  - {name: a_b, type: component, properties: "
          "{image: i}}\n",
     "both have the id `a-a_b`"},
    {HEAD
     "  - {name: c, type: component, properties: {image: i, secrets: [{name: s, properties: {policy: p, key: k}}]}}\n",
     "names the policy `p`, which is not there"},
    {HEAD "  - {name: c, type: component, properties: {image: i, config: [{name: x, properties: {a: b}}]}}\n"
          "  - {name: d, type: component, properties: {image: i, config: [{name: x, properties: {a: c}}]}}\n",
     "one would overwrite the other"},
    {"apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: a.b, annotations: {}}\nspec: {components: "
     "[]}\n",
     "`a.b` can't be a name"},
    {"apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: a, annotations: {version: latest}}\nspec: "
     "{components: []}\n",
     "`latest` can't be a version"},
    {"apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: a, annotations: {\"-x\": y}}\nspec: "
     "{components: []}\n",
     "`-x` can't be a key"},
};

TEST(what_is_wrong_is_told_with_its_place)
{
    for (size_t i = 0; i < WISP_COUNT(bad); i++) {
        struct wisp_app_manifest manifest;
        struct wisp_err err;
        CHECK_INT(parse(bad[i].text, false, &manifest, &err), -WISP_ERR_INVALID);
        CHECK_HAS(err.text, bad[i].message);
        wisp_app_manifest_deinit(&manifest);
    }
}

TEST(all_that_is_wrong_is_told)
{
    struct wisp_app_manifest manifest;
    struct wisp_err err;
    CHECK_INT(parse("apiVersion: x\nkind: y\nmetadata: {name: a, annotations: {}, more: 1}\nspec: {components: [{}]}\n",
                    false, &manifest, &err),
              -WISP_ERR_INVALID);
    CHECK_INT(problems.n_errors, 6);
    CHECK_HAS(err.text, "(and 5 more)");
    wisp_app_manifest_deinit(&manifest);
    CHECK_OK(parse("apiVersion: x\nkind: y\nmetadata: {name: a, annotations: {}, more: 1}\nspec: {components: []}\n",
                   true, &manifest, &err),
             &err);
    CHECK_INT(problems.n, 3);
    CHECK_INT(problems.n_errors, 0);
    wisp_app_manifest_deinit(&manifest);
}

TEST(a_bomb_is_refused)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_buf_append_str(&text, WISP_STR("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"));
    for (int i = 1; i < 10; i++) {
        wisp_buf_printf(&text, "a%d: &a%d [", i, i);
        for (int k = 0; k < 10; k++) wisp_buf_printf(&text, "%s*a%d", k ? ", " : "", i - 1);
        wisp_buf_append_str(&text, WISP_STR("]\n"));
    }
    wisp_buf_append_char(&text, 0);
    struct wisp_app_manifest manifest;
    struct wisp_err err;
    CHECK_INT(parse(text.data, false, &manifest, &err), -WISP_ERR_LIMIT);
    text.len = 0;
    for (int i = 0; i < 100000; i++) wisp_buf_append_char(&text, '[');
    wisp_buf_append_char(&text, 0);
    CHECK_INT(parse(text.data, false, &manifest, &err), -WISP_ERR_LIMIT);
    text.len = 0;
    wisp_buf_append_str(&text, WISP_STR("long: &l "));
    for (int i = 0; i < 500000; i++) wisp_buf_append_char(&text, 'x');
    wisp_buf_append_str(&text, WISP_STR("\nall: [*l, *l, *l, *l, *l, *l, *l, *l, *l, *l]\n"));
    wisp_buf_append_char(&text, 0);
    CHECK_INT(parse(text.data, false, &manifest, &err), -WISP_ERR_LIMIT);
}

TEST(the_schema_is_json)
{
    WISP_CLEANUP_JSON json_t *schema = wisp_app_schema();
    CHECK(json_is_object(schema));
    CHECK(json_object_get(json_object_get(schema, "definitions"), "scaler"));
}
