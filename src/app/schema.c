/* SPDX-License-Identifier: Apache-2.0 */
#include "app/manifest.h"

/* clang-format off */
#define TEXT "{\"type\": \"string\", \"minLength\": 1}"
#define TEXTS "{\"type\": \"object\", \"additionalProperties\": {\"type\": \"string\"}}"
#define LIST(item) "{\"type\": \"array\", \"items\": " item "}"
#define REF(name) "{\"$ref\": \"#/definitions/" name "\"}"
#define COUNT "{\"type\": \"integer\", \"minimum\": 0, \"maximum\": 1000000}"
#define OBJECT(description, required, properties) \
    "{\"description\": \"" description "\", \"type\": \"object\", \"additionalProperties\": false, \"required\": [" required "], " \
    "\"properties\": {" properties "}}"

static const char text[] =
    "{\"$schema\": \"http://json-schema.org/draft-07/schema#\", \"title\": \"Application\", "
    "\"description\": \"An application manifest (core.oam.dev/v1beta1)\", \"type\": \"object\", "
    "\"additionalProperties\": false, \"required\": [\"apiVersion\", \"kind\", \"metadata\", \"spec\"], "
    "\"properties\": {"
    "\"apiVersion\": {\"const\": \"core.oam.dev/v1beta1\"}, \"kind\": {\"const\": \"Application\"}, "
    "\"metadata\": " REF("metadata") ", \"spec\": " REF("spec") "}, "
    "\"definitions\": {"
    "\"metadata\": " OBJECT("Name, version and notes", "\"name\", \"annotations\"",
        "\"name\": {\"type\": \"string\", \"pattern\": \"^[-_a-zA-Z0-9]{1,128}$\"}, \"annotations\": " TEXTS ", \"labels\": " TEXTS) ", "
    "\"spec\": " OBJECT("What the application is made of", "\"components\"",
        "\"components\": " LIST(REF("component")) ", \"policies\": " LIST(REF("policy"))) ", "
    "\"policy\": " OBJECT("Where secrets come from", "\"name\", \"type\", \"properties\"",
        "\"name\": " TEXT ", \"type\": " TEXT ", \"properties\": " TEXTS) ", "
    "\"component\": " OBJECT("A component, or a capability that a provider has", "\"name\", \"type\", \"properties\"",
        "\"name\": " TEXT ", \"type\": {\"enum\": [\"component\", \"actor\", \"capability\"]}, "
        "\"properties\": " REF("properties") ", \"traits\": " LIST(REF("trait"))) ", "
    "\"properties\": {\"oneOf\": [" OBJECT("What runs", "\"image\"",
        "\"image\": " TEXT ", \"id\": " TEXT ", \"config\": " LIST(REF("config")) ", \"secrets\": " LIST(REF("secret"))) ", "
    OBJECT("A component of another application", "\"application\"", "\"id\": " TEXT ", \"application\": "
        OBJECT("Which one", "\"name\", \"component\"", "\"name\": " TEXT ", \"component\": " TEXT)) "]}, "
    "\"config\": " OBJECT("A named config; without properties it is kept by somebody else", "\"name\"",
        "\"name\": " TEXT ", \"properties\": " TEXTS) ", "
    "\"secret\": " OBJECT("A secret, by a policy", "\"name\", \"properties\"", "\"name\": " TEXT ", \"properties\": "
        OBJECT("Where it is", "\"policy\", \"key\"",
            "\"policy\": " TEXT ", \"key\": " TEXT ", \"field\": {\"type\": \"string\"}, \"version\": {\"type\": \"string\"}")) ", "
    "\"trait\": {\"oneOf\": ["
    OBJECT("A link to another component of the application", "\"type\", \"properties\"",
        "\"type\": {\"const\": \"link\"}, \"properties\": " REF("link")) ", "
    OBJECT("How many instances, and where", "\"type\", \"properties\"",
        "\"type\": {\"enum\": [\"spreadscaler\", \"daemonscaler\"]}, \"properties\": " REF("scaler")) ", "
    "{\"description\": \"Of no meaning here\", \"type\": \"object\", \"additionalProperties\": false, "
    "\"required\": [\"type\", \"properties\"], \"properties\": {\"type\": {\"type\": \"string\", \"not\": "
    "{\"enum\": [\"link\", \"spreadscaler\", \"daemonscaler\"]}}, \"properties\": {}}}]}, "
    "\"link\": " OBJECT("A link", "\"namespace\", \"package\", \"interfaces\", \"target\"",
        "\"namespace\": " TEXT ", \"package\": " TEXT ", \"interfaces\": {\"type\": \"array\", \"minItems\": 1, \"items\": " TEXT "}, "
        "\"name\": {\"type\": \"string\"}, \"source\": " REF("side") ", "
        "\"target\": {\"oneOf\": [" TEXT ", " OBJECT("A component and what the link gives it", "\"name\"",
            "\"name\": " TEXT ", \"config\": " LIST(REF("config")) ", \"secrets\": " LIST(REF("secret"))) "]}, "
        "\"source_config\": " LIST(REF("config")) ", \"target_config\": " LIST(REF("config"))) ", "
    "\"side\": " OBJECT("What the link gives its source", "",
        "\"config\": " LIST(REF("config")) ", \"secrets\": " LIST(REF("secret"))) ", "
    "\"scaler\": " OBJECT("Instances in all, or for a daemonscaler on each host", "",
        "\"instances\": " COUNT ", \"replicas\": " COUNT ", \"spread\": " LIST(REF("spread"))) ", "
    "\"spread\": " OBJECT("Hosts with these labels", "\"name\", \"requirements\"",
        "\"name\": " TEXT ", \"requirements\": " TEXTS ", \"weight\": " COUNT)
    "}}";
/* clang-format on */

json_t *wisp_app_schema(void) { return json_loads(text, 0, NULL); }
