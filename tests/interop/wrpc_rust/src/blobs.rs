// SPDX-License-Identifier: Apache-2.0
//! Streams and futures: three functions of a blobstore that keeps nothing.
//!
//!     write-container-data      answers, as an error, how many bytes it got
//!     list-container-objects    n0, n1, ... up to the limit
//!     get-container-data        end - start bytes
use std::{future::Future, pin::Pin};

use anyhow::{anyhow, bail};
use bytes::Bytes;
use futures::{stream, Stream, StreamExt as _};
use wrpc_interface_blobstore::bindings::{
    exports::wrpc::blobstore::blobstore::Handler,
    wrpc::blobstore::{blobstore, types::*},
};
use wrpc_transport_nats::Client;

#[derive(Clone)]
pub struct Blobs;

type Status = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
type Pieces<T> = Pin<Box<dyn Stream<Item = T> + Send>>;

fn pieces(size: u64) -> Pieces<Bytes> {
    let starts = (0..size).step_by(100_000);
    Box::pin(stream::iter(starts.map(move |start| Bytes::from(vec![b'r'; (size - start).min(100_000) as usize]))))
}

async fn count(mut data: Pieces<Bytes>) -> usize {
    let mut size = 0;
    while let Some(bytes) = data.next().await {
        size += bytes.iter().filter(|byte| **byte == b'r').count();
    }
    size
}

impl<C: Send> Handler<C> for Blobs {
    async fn clear_container(&self, _: C, _: String) -> anyhow::Result<Result<(), String>> {
        bail!("not here")
    }
    async fn container_exists(&self, _: C, _: String) -> anyhow::Result<Result<bool, String>> {
        bail!("not here")
    }
    async fn create_container(&self, _: C, _: String) -> anyhow::Result<Result<(), String>> {
        bail!("not here")
    }
    async fn delete_container(&self, _: C, _: String) -> anyhow::Result<Result<(), String>> {
        bail!("not here")
    }
    async fn get_container_info(&self, _: C, _: String) -> anyhow::Result<Result<ContainerMetadata, String>> {
        bail!("not here")
    }
    async fn copy_object(&self, _: C, _: ObjectId, _: ObjectId) -> anyhow::Result<Result<(), String>> {
        bail!("not here")
    }
    async fn delete_object(&self, _: C, _: ObjectId) -> anyhow::Result<Result<(), String>> {
        bail!("not here")
    }
    async fn delete_objects(&self, _: C, _: String, _: Vec<String>) -> anyhow::Result<Result<(), String>> {
        bail!("not here")
    }
    async fn get_object_info(&self, _: C, _: ObjectId) -> anyhow::Result<Result<ObjectMetadata, String>> {
        bail!("not here")
    }
    async fn has_object(&self, _: C, _: ObjectId) -> anyhow::Result<Result<bool, String>> {
        bail!("not here")
    }
    async fn move_object(&self, _: C, _: ObjectId, _: ObjectId) -> anyhow::Result<Result<(), String>> {
        bail!("not here")
    }

    async fn list_container_objects(
        &self,
        _: C,
        _: String,
        limit: Option<u64>,
        _: Option<u64>,
    ) -> anyhow::Result<Result<(Pieces<Vec<String>>, Status), String>> {
        let names: Vec<String> = (0..limit.unwrap_or(0)).map(|number| format!("n{number}")).collect();
        let chunks: Vec<Vec<String>> = names.chunks(7).map(<[String]>::to_vec).collect();
        Ok(Ok((Box::pin(stream::iter(chunks)), Box::pin(async { Ok(()) }))))
    }

    async fn get_container_data(
        &self,
        _: C,
        id: ObjectId,
        start: u64,
        end: u64,
    ) -> anyhow::Result<Result<(Pieces<Bytes>, Status), String>> {
        if id.object == "missing" {
            return Ok(Err("no such object".into()));
        }
        Ok(Ok((pieces(end - start), Box::pin(async { Ok(()) }))))
    }

    async fn write_container_data(
        &self,
        _: C,
        _: ObjectId,
        data: Pieces<Bytes>,
    ) -> anyhow::Result<Result<Status, String>> {
        Ok(Ok(Box::pin(async move { Err(count(data).await.to_string()) })))
    }
}

/// The same from the other side; prints what came back.
pub async fn call(client: &Client) -> anyhow::Result<()> {
    let id = ObjectId { container: "c".into(), object: "o".into() };
    for size in [0, 5, 3_000_000] {
        let (status, io) = blobstore::write_container_data(client, None, &id, pieces(size)).await?;
        let status = status.map_err(|error| anyhow!(error))?;
        let (status, _) = futures::join!(status, futures::future::OptionFuture::from(io.map(Box::pin)));
        println!("wrote {:?}", status);
    }
    for limit in [0, 1000] {
        let (list, io) = blobstore::list_container_objects(client, None, "c", Some(limit), None).await?;
        let (names, status) = list.map_err(|error| anyhow!(error))?;
        let (names, status, _) = futures::join!(
            names.collect::<Vec<_>>(),
            status,
            futures::future::OptionFuture::from(io.map(Box::pin))
        );
        let names = names.concat();
        println!("listed {} to {:?}, {:?}", names.len(), names.last(), status);
    }
    for size in [0, 3_000_000] {
        let (data, io) = blobstore::get_container_data(client, None, &id, 1, 1 + size).await?;
        let (data, status) = data.map_err(|error| anyhow!(error))?;
        let (size, status, _) =
            futures::join!(count(data), status, futures::future::OptionFuture::from(io.map(Box::pin)));
        println!("got {size}, {status:?}");
    }
    let missing = ObjectId { container: "c".into(), object: "missing".into() };
    let (data, _) = blobstore::get_container_data(client, None, &missing, 0, 1).await?;
    println!("missing: {:?}", data.err());
    Ok(())
}
