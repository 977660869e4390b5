/* SPDX-License-Identifier: Apache-2.0 */
#include "vault.h"

static const struct wisp_setting *find(const struct wisp_settings *settings, struct wisp_str key)
{
    for (size_t i = 0; i < settings->n; i++)
        if (wisp_str_equal(settings->list[i].key, key)) return &settings->list[i];
    return NULL;
}

void vault_tell(struct wisp_provider_call *call, const struct vault_tell_args *args)
{
    const struct wisp_settings *settings = call->link ? &call->link->settings : &call->provider->settings;
    const struct wisp_setting *setting = find(settings, args->name);
    struct vault_tell_result result = {.is_some = setting != NULL};
    if (setting) {
        char *text = wisp_arena_cstr(call->arena, setting->value);
        for (size_t i = 0; i < setting->value.len; i++) text[i] = setting->value.ptr[setting->value.len - 1 - i];
        result.value.f0 = (struct wisp_str){text, setting->value.len};
        result.value.f1 = setting->is_secret;
    }
    vault_tell_return(call, &result);
}

static const struct wisp_provider_kind vault = {.name = "vault", VAULT_INTERFACES};

int main(int argc, char **argv) { return wisp_provider_main(&vault, argc, argv); }
