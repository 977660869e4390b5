// SPDX-License-Identifier: Apache-2.0
//! A host of the original, from its own library: `reference_host PORT` joins the lattice `default` at 127.0.0.1:PORT.

use std::time::Duration;

use url::Url;
use wasmcloud_host::wasmbus::{Host, HostConfig};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let port = std::env::args().nth(1).ok_or_else(|| anyhow::anyhow!("PORT"))?;
    let url = Url::parse(&format!("nats://127.0.0.1:{port}"))?;
    let (host, shutdown) = Host::new(HostConfig {
        ctl_nats_url: url.clone(),
        rpc_nats_url: url,
        lattice: "default".into(),
        allow_file_load: true,
        version: "1.6.2".into(),
        heartbeat_interval: Some(Duration::from_secs(5)),
        ..HostConfig::default()
    })
    .await?;
    host.stopped().await?;
    shutdown.await
}
