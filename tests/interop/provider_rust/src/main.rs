// SPDX-License-Identifier: Apache-2.0
//! The original's HTTP server, a provider process built with the original's SDK.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    wasmcloud_provider_http_server::run().await?;
    eprintln!("HTTP server provider exiting");
    Ok(())
}
