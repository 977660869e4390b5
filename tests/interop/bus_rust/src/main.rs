// SPDX-License-Identifier: Apache-2.0

//! What the official Rust client does with a server:  bus_rust URL [token T | seed TEXT | tls CA CERT KEY]
//! As ../bus_c.c.
use std::time::Duration;

use async_nats::{Client, ConnectOptions, HeaderMap, RequestErrorKind};
use futures::StreamExt;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const PATIENCE: Duration = Duration::from_secs(20);
const MESSAGES: usize = 100;

async fn next(sub: &mut async_nats::Subscriber) -> Result<async_nats::Message> {
    Ok(tokio::time::timeout(PATIENCE, sub.next()).await?.ok_or("the subscription ended")?)
}

async fn headers(nc: &Client) -> Result {
    let mut sub = nc.subscribe("rs.*.h").await?;
    let mut headers = HeaderMap::new();
    headers.insert("Key", "value");
    nc.publish_with_headers("rs.x.h", headers, "hello".into()).await?;
    let message = next(&mut sub).await?;
    assert_eq!(message.payload, "hello");
    assert_eq!(message.headers.ok_or("no headers")?.get("Key").ok_or("no Key")?.as_str(), "value");
    Ok(())
}

async fn requests(nc: &Client) -> Result {
    let mut sub = nc.queue_subscribe("rs.service", "workers".into()).await?;
    let server = nc.clone();
    let answers = tokio::spawn(async move {
        while let Some(message) = sub.next().await {
            server.publish(message.reply.unwrap(), "answer".into()).await.unwrap();
        }
    });
    for _ in 0..MESSAGES {
        assert_eq!(nc.request("rs.service", "question".into()).await?.payload, "answer");
    }
    answers.abort();
    for subject in ["rs.nobody", "$JS.API.INFO"] {
        let error = nc.request(subject, "".into()).await.err().ok_or("it was answered")?;
        assert_eq!(error.kind(), RequestErrorKind::NoResponders);
    }
    Ok(())
}

async fn queue(nc: &Client) -> Result {
    let mut subs = Vec::new();
    for _ in 0..2 {
        subs.push(nc.queue_subscribe("rs.jobs", "workers".into()).await?);
    }
    for _ in 0..MESSAGES {
        nc.publish("rs.jobs", "job".into()).await?;
    }
    nc.flush().await?;
    let mut all = futures::stream::select_all(subs);
    for _ in 0..MESSAGES {
        tokio::time::timeout(PATIENCE, all.next()).await?.ok_or("the subscription ended")?;
    }
    assert!(tokio::time::timeout(Duration::from_millis(100), all.next()).await.is_err());
    Ok(())
}

async fn unsubscribe(nc: &Client) -> Result {
    let mut sub = nc.subscribe("rs.few").await?;
    sub.unsubscribe_after(2).await?;
    for _ in 0..5 {
        nc.publish("rs.few", "".into()).await?;
    }
    for _ in 0..2 {
        next(&mut sub).await?;
    }
    assert!(tokio::time::timeout(PATIENCE, sub.next()).await?.is_none());
    Ok(())
}

async fn sizes(nc: &Client) -> Result {
    let max = nc.server_info().max_payload;
    let mut sub = nc.subscribe("rs.large").await?;
    nc.publish("rs.large", vec![0; max].into()).await?;
    assert_eq!(next(&mut sub).await?.payload.len(), max);
    assert!(nc.publish("rs.large", vec![0; max + 1].into()).await.is_err());
    Ok(())
}

fn options(arguments: &[String]) -> ConnectOptions {
    let options = ConnectOptions::new().connection_timeout(PATIENCE).request_timeout(Some(PATIENCE));
    match arguments.first().map(String::as_str) {
        Some("token") => options.token(arguments[1].clone()),
        Some("seed") => ConnectOptions::with_nkey(arguments[1].clone()).connection_timeout(PATIENCE),
        Some("tls") => options
            .require_tls(true)
            .add_root_certificates(arguments[1].clone().into())
            .add_client_certificate(arguments[2].clone().into(), arguments[3].clone().into()),
        _ => options,
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let nc = options(&arguments[1..]).connect(&arguments[0]).await?;
    println!("ok connect");
    headers(&nc).await?;
    requests(&nc).await?;
    queue(&nc).await?;
    unsubscribe(&nc).await?;
    sizes(&nc).await?;
    nc.drain().await?;
    println!("ok all");
    Ok(())
}
