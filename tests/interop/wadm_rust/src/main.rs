// SPDX-License-Identifier: Apache-2.0
//! The original's deployment manager, from its library, for comparisons: `wadm_rust HOST:PORT`.

use anyhow::Context as _;
use wadm::config::WadmConfig;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let nats_server = std::env::args().nth(1).context("usage: wadm_rust HOST:PORT")?;
    let mut tasks = wadm::start_wadm(WadmConfig { nats_server, ..Default::default() }).await?;
    eprintln!("manager is up");
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}
