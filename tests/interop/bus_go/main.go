// SPDX-License-Identifier: Apache-2.0

// What the official Go client does with a server:  bus_go URL [token T | seed FILE | tls CA CERT KEY]
// As ../bus_c.c.
package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	patience = 20 * time.Second
	messages = 100
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func expect(condition bool, what string) {
	if !condition {
		check(errors.New(what))
	}
}

func headers(nc *nats.Conn) {
	sub, err := nc.SubscribeSync("go.*.h")
	check(err)
	out := nats.NewMsg("go.x.h")
	out.Header.Set("Key", "value")
	out.Data = []byte("hello")
	check(nc.PublishMsg(out))
	in, err := sub.NextMsg(patience)
	check(err)
	expect(string(in.Data) == "hello" && in.Header.Get("Key") == "value", "headers")
	check(sub.Unsubscribe())
}

func requests(nc *nats.Conn) {
	sub, err := nc.QueueSubscribe("go.service", "workers", func(m *nats.Msg) { m.Respond([]byte("answer")) })
	check(err)
	for i := 0; i < messages; i++ {
		in, err := nc.Request("go.service", []byte("question"), patience)
		check(err)
		expect(string(in.Data) == "answer", "answer")
	}
	check(sub.Drain())
	for _, subject := range []string{"go.nobody", "$JS.API.INFO"} {
		_, err = nc.Request(subject, nil, patience)
		expect(errors.Is(err, nats.ErrNoResponders), subject)
	}
	js, err := nc.JetStream()
	check(err)
	_, err = js.AccountInfo()
	expect(errors.Is(err, nats.ErrJetStreamNotEnabled), "JetStream is told to be off")
}

func queue(nc *nats.Conn) {
	var subs [2]*nats.Subscription
	for i := range subs {
		sub, err := nc.QueueSubscribeSync("go.jobs", "workers")
		check(err)
		subs[i] = sub
	}
	for i := 0; i < messages; i++ {
		check(nc.Publish("go.jobs", []byte("job")))
	}
	check(nc.Flush())
	a, _, _ := subs[0].Pending()
	b, _, _ := subs[1].Pending()
	expect(a+b == messages && a > 10 && b > 10, fmt.Sprint("queue: ", a, " and ", b))
	check(subs[0].Unsubscribe())
	check(subs[1].Unsubscribe())
}

func unsubscribe(nc *nats.Conn) {
	sub, err := nc.SubscribeSync("go.few")
	check(err)
	check(sub.AutoUnsubscribe(2))
	for i := 0; i < 5; i++ {
		check(nc.Publish("go.few", nil))
	}
	check(nc.Flush())
	n, _, _ := sub.Pending()
	expect(n == 2, "unsubscribe after two")
}

func sizes(nc *nats.Conn) {
	sub, err := nc.SubscribeSync("go.large")
	check(err)
	check(nc.Publish("go.large", make([]byte, nc.MaxPayload())))
	in, err := sub.NextMsg(patience)
	check(err)
	expect(int64(len(in.Data)) == nc.MaxPayload(), "largest message")
	expect(errors.Is(nc.Publish("go.large", make([]byte, nc.MaxPayload()+1)), nats.ErrMaxPayload), "too large")
}

func main() {
	options := []nats.Option{nats.Timeout(patience), nats.NoReconnect()}
	if len(os.Args) > 3 {
		switch os.Args[2] {
		case "token":
			options = append(options, nats.Token(os.Args[3]))
		case "seed":
			option, err := nats.NkeyOptionFromSeed(os.Args[3])
			check(err)
			options = append(options, option)
		case "tls":
			options = append(options, nats.RootCAs(os.Args[3]), nats.ClientCert(os.Args[4], os.Args[5]))
		}
	}
	nc, err := nats.Connect(os.Args[1], options...)
	check(err)
	fmt.Println("ok connect")
	headers(nc)
	requests(nc)
	queue(nc)
	unsubscribe(nc)
	sizes(nc)
	check(nc.Drain())
	fmt.Println("ok all")
}
