/* SPDX-License-Identifier: Apache-2.0 */
/* What the official C client does with a server:  bus_c URL [TOKEN | "tls" CA CERT KEY]
 *
 * Prints one line for each thing that worked; any other outcome ends it with status 1. The clients in other languages
 * do the same. */
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MS = 20000, MESSAGES = 100 };

static void check_at(natsStatus status, const char *what, int line)
{
    if (status == NATS_OK) return;
    fprintf(stderr, "line %d: %s: %s\n", line, what, natsStatus_GetText(status));
    exit(1);
}
#define CHECK(call) check_at((call), #call, __LINE__)
#define EXPECT(condition) check_at((condition) ? NATS_OK : NATS_ERR, #condition, __LINE__)

static bool is_text(natsMsg *message, const char *text)
{
    return natsMsg_GetDataLength(message) == (int)strlen(text) &&
           memcmp(natsMsg_GetData(message), text, strlen(text)) == 0;
}

static void try_headers(natsConnection *nc)
{
    natsSubscription *sub;
    natsMsg *message;
    const char *value;
    CHECK(natsConnection_SubscribeSync(&sub, nc, "c.*.h"));
    CHECK(natsMsg_Create(&message, "c.x.h", NULL, "hello", 5));
    CHECK(natsMsgHeader_Set(message, "Key", "value"));
    CHECK(natsConnection_PublishMsg(nc, message));
    natsMsg_Destroy(message);
    CHECK(natsSubscription_NextMsg(&message, sub, TIMEOUT_MS));
    CHECK(natsMsgHeader_Get(message, "Key", &value));
    EXPECT(is_text(message, "hello") && strcmp(value, "value") == 0);
    natsMsg_Destroy(message);
    natsSubscription_Destroy(sub);
    puts("ok headers");
}

static void answer(natsConnection *nc, natsSubscription *sub, natsMsg *message, void *env)
{
    (void)sub;
    (void)env;
    (void)natsConnection_PublishString(nc, natsMsg_GetReply(message), "answer");
    natsMsg_Destroy(message);
}

static void try_requests(natsConnection *nc)
{
    natsSubscription *sub;
    natsMsg *message;
    CHECK(natsConnection_QueueSubscribe(&sub, nc, "c.service", "workers", answer, NULL));
    for (int i = 0; i < MESSAGES; i++) {
        CHECK(natsConnection_RequestString(&message, nc, "c.service", "question", TIMEOUT_MS));
        EXPECT(is_text(message, "answer"));
        natsMsg_Destroy(message);
    }
    natsSubscription_Destroy(sub);
    puts("ok requests");
    EXPECT(natsConnection_RequestString(&message, nc, "c.nobody", "?", TIMEOUT_MS) == NATS_NO_RESPONDERS);
    EXPECT(natsConnection_RequestString(&message, nc, "$JS.API.INFO", "", TIMEOUT_MS) == NATS_NO_RESPONDERS);
    puts("ok no responders");
}

static void try_queue(natsConnection *nc)
{
    natsSubscription *subs[2];
    uint64_t pending[2];
    for (int i = 0; i < 2; i++) CHECK(natsConnection_QueueSubscribeSync(&subs[i], nc, "c.jobs", "workers"));
    for (int i = 0; i < MESSAGES; i++) CHECK(natsConnection_PublishString(nc, "c.jobs", "job"));
    CHECK(natsConnection_FlushTimeout(nc, TIMEOUT_MS));
    for (int i = 0; i < 2; i++) CHECK(natsSubscription_QueuedMsgs(subs[i], &pending[i]));
    EXPECT(pending[0] + pending[1] == MESSAGES && pending[0] > 10 && pending[1] > 10);
    for (int i = 0; i < 2; i++) natsSubscription_Destroy(subs[i]);
    puts("ok queue");
}

static void try_unsubscribe(natsConnection *nc)
{
    natsSubscription *sub;
    natsMsg *message;
    CHECK(natsConnection_SubscribeSync(&sub, nc, "c.few"));
    CHECK(natsSubscription_AutoUnsubscribe(sub, 2));
    for (int i = 0; i < 5; i++) CHECK(natsConnection_PublishString(nc, "c.few", "x"));
    CHECK(natsConnection_FlushTimeout(nc, TIMEOUT_MS));
    for (int i = 0; i < 2; i++) {
        CHECK(natsSubscription_NextMsg(&message, sub, TIMEOUT_MS));
        natsMsg_Destroy(message);
    }
    EXPECT(natsSubscription_NextMsg(&message, sub, 100) == NATS_MAX_DELIVERED_MSGS);
    natsSubscription_Destroy(sub);
    puts("ok unsubscribe");
}

static void try_sizes(natsConnection *nc)
{
    natsSubscription *sub;
    natsMsg *message;
    int64_t max = natsConnection_GetMaxPayload(nc);
    char *bytes = calloc(1, (size_t)max + 1);
    CHECK(natsConnection_SubscribeSync(&sub, nc, "c.large"));
    CHECK(natsConnection_Publish(nc, "c.large", bytes, (int)max));
    CHECK(natsSubscription_NextMsg(&message, sub, TIMEOUT_MS));
    EXPECT(natsMsg_GetDataLength(message) == max);
    natsMsg_Destroy(message);
    EXPECT(natsConnection_Publish(nc, "c.large", bytes, (int)max + 1) == NATS_MAX_PAYLOAD);
    natsSubscription_Destroy(sub);
    free(bytes);
    puts("ok sizes");
}

static void set_options(natsOptions *options, int argc, char **argv)
{
    CHECK(natsOptions_SetURL(options, argv[1]));
    CHECK(natsOptions_SetTimeout(options, TIMEOUT_MS));
    if (argc == 3) CHECK(natsOptions_SetToken(options, argv[2]));
    if (argc != 6) return;
    CHECK(natsOptions_SetSecure(options, true));
    CHECK(natsOptions_LoadCATrustedCertificates(options, argv[3]));
    CHECK(natsOptions_LoadCertificatesChain(options, argv[4], argv[5]));
}

int main(int argc, char **argv)
{
    natsOptions *options;
    natsConnection *nc;
    if (argc < 2) return 2;
    CHECK(natsOptions_Create(&options));
    set_options(options, argc, argv);
    CHECK(natsConnection_Connect(&nc, options));
    puts("ok connect");
    try_headers(nc);
    try_requests(nc);
    try_queue(nc);
    try_unsubscribe(nc);
    try_sizes(nc);
    CHECK(natsConnection_FlushTimeout(nc, TIMEOUT_MS));
    natsConnection_Destroy(nc);
    natsOptions_Destroy(options);
    nats_Close();
    puts("ok all");
    return 0;
}
