// SPDX-License-Identifier: Apache-2.0
//! Walks through the original control client against a lattice with one host: `control PORT COMPONENT_FILE`. Prints one
//! JSON line per step; a step that the client refuses ends it with an error.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use futures::StreamExt;
use serde_json::json;
use wasmcloud_control_interface::{ClientBuilder, Link};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn step(name: &str, value: serde_json::Value) {
    println!("{}", json!({"step": name, "value": value}));
}

fn accept(name: &str, success: bool, message: &str) -> Result<(), Failure> {
    if success {
        Ok(())
    } else {
        Err(format!("{name}: {message}").into())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let port = args.next().ok_or("PORT")?;
    let file = args.next().ok_or("COMPONENT_FILE")?;
    let nats = async_nats::connect(format!("127.0.0.1:{port}")).await?;
    let mut events = nats.subscribe("wasmbus.evt.default.>").await?;
    let client = ClientBuilder::new(nats).lattice("default").timeout(Duration::from_secs(5)).build();

    let hosts = client.get_hosts().await?;
    let host = hosts.first().and_then(|h| h.data()).ok_or("no host")?.clone();
    step("hosts", json!(hosts.iter().map(|h| h.data().map(|d| d.id().to_string())).collect::<Vec<_>>()));

    let inventory = client.get_host_inventory(host.id()).await?;
    step("inventory", serde_json::to_value(inventory.data())?);

    let auction = client
        .perform_component_auction(&format!("file://{file}"), "hello", BTreeMap::from([("hostcore.os".into(), "linux".into())]))
        .await?;
    step("component-auction", json!(auction.len()));
    let auction = client
        .perform_provider_auction("wasmcloud+builtin://http-server", "http", BTreeMap::from([("no".into(), "such".into())]))
        .await?;
    step("impossible-auction", json!(auction.len()));

    let answer = client.put_config("colours", HashMap::from([("sky".to_string(), "blue".to_string())])).await?;
    accept("put_config", answer.succeeded(), answer.message())?;
    step("config", serde_json::to_value(client.get_config("colours").await?.data())?);

    let answer = client.put_label(host.id(), "zone", "a").await?;
    accept("put_label", answer.succeeded(), answer.message())?;
    let answer = client.delete_label(host.id(), "zone").await?;
    accept("delete_label", answer.succeeded(), answer.message())?;

    let answer = client
        .scale_component(host.id(), &format!("file://{file}"), "hello", 7, Some(BTreeMap::from([("a".into(), "b".into())])), vec!["colours".into()])
        .await?;
    accept("scale_component", answer.succeeded(), answer.message())?;
    loop {
        let event = tokio::time::timeout(Duration::from_secs(60), events.next()).await?.ok_or("no event")?;
        let event: serde_json::Value = serde_json::from_slice(&event.payload)?;
        if event["type"] == "com.wasmcloud.lattice.component_scaled" {
            step("scaled", event["data"].clone());
            break;
        }
        if event["type"] == "com.wasmcloud.lattice.component_scale_failed" {
            return Err(format!("scale failed: {}", event["data"]).into());
        }
    }

    let link = Link::builder()
        .source_id("http").target("hello").name("default")
        .wit_namespace("wasi").wit_package("http").interfaces(vec!["incoming-handler".into()])
        .source_config(vec!["colours".into()])
        .build()?;
    let answer = client.put_link(link).await?;
    accept("put_link", answer.succeeded(), answer.message())?;
    step("links", serde_json::to_value(client.get_links().await?.data())?);
    let answer = client.delete_link("http", "default", "wasi", "http").await?;
    accept("delete_link", answer.succeeded(), answer.message())?;
    step("claims", serde_json::to_value(client.get_claims().await?.data())?);

    let inventory = client.get_host_inventory(host.id()).await?;
    step("inventory-after", serde_json::to_value(inventory.data())?);
    let answer = client.delete_config("colours").await?;
    accept("delete_config", answer.succeeded(), answer.message())?;
    let answer = client.stop_host(host.id(), None).await?;
    accept("stop_host", answer.succeeded(), answer.message())?;
    step("done", json!(true));
    Ok(())
}
