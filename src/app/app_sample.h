/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: manifests. */
#pragma once

/* `version` and `image` are texts; `instances` too. */
#define SHOP(version, image, instances)                                                                                \
    "{\"apiVersion\": \"core.oam.dev/v1beta1\", \"kind\": \"Application\", \"metadata\": {\"name\": \"shop\", "        \
    "\"annotations\": {\"version\": \"" version "\"}}, \"spec\": {\"components\": ["                                   \
    "{\"name\": \"web\", \"type\": \"component\", \"properties\": {\"image\": \"" image                                \
    "\", \"config\": [{\"name\": \"tuning\", \"properties\": {\"mode\": \"fast\"}}]}, \"traits\": ["                   \
    "{\"type\": \"spreadscaler\", \"properties\": {\"instances\": " instances "}}, "                                   \
    "{\"type\": \"link\", \"properties\": {\"target\": {\"name\": \"kv\"}, \"namespace\": \"wasi\", "                  \
    "\"package\": \"keyvalue\", \"interfaces\": [\"store\"]}}]}, "                                                     \
    "{\"name\": \"kv\", \"type\": \"capability\", \"properties\": {\"image\": \"r/kv:1\"}}]}}"
#define ONE_COMPONENT(name, image, instances, more)                                                                    \
    "{\"apiVersion\": \"core.oam.dev/v1beta1\", \"kind\": \"Application\", \"metadata\": {\"name\": \"" name           \
    "\", \"annotations\": {}}, \"spec\": {\"components\": [{\"name\": \"c\", \"type\": \"component\", "                \
    "\"properties\": {\"image\": \"" image "\"}, \"traits\": [{\"type\": \"spreadscaler\", \"properties\": "           \
    "{\"instances\": " instances more "}}]}]}}"
