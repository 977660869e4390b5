// SPDX-License-Identifier: Apache-2.0
//! The wRPC of the original, as caller and callee:
//!
//!     wrpc_rust serve PORT ID    serves an HTTP handler that sends back what it gets, a function that does so, and the
//!                                streams of blobs.rs
//!     wrpc_rust call PORT ID     calls the first two at ID; prints what came back
//!     wrpc_rust stream PORT ID   calls the streams
mod blobs;

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use anyhow::{anyhow, ensure, Context as _};
use async_nats::HeaderMap;
use bytes::Bytes;
use futures::{stream, Stream, StreamExt as _};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use wrpc_interface_http::{
    bindings, HttpBody, InvokeIncomingHandler as _, ServeHttp, ServeIncomingHandlerHttp,
};
use wrpc_transport::{InvokeExt as _, ServeExt as _};
use wrpc_transport_nats::Client;

const INSTANCE: &str = "test:values/values@1.0.0";
type Values = (String, u32, i64, f64, char, bool, Vec<(String, Option<u64>)>, Result<u16, String>, Bytes);

fn values() -> Values {
    (
        "h\u{e4}".into(),
        u32::MAX,
        i64::MIN,
        -0.5,
        '\u{1f600}',
        true,
        vec![("a".into(), Some(u64::MAX)), (String::new(), None)],
        Err("no".into()),
        Bytes::from(vec![7; 3_000_000]),
    )
}

async fn client(port: &str, id: &str, queue: bool) -> anyhow::Result<Client> {
    let nats = async_nats::connect(format!("nats://127.0.0.1:{port}")).await?;
    let prefix = format!("default.{id}");
    let queue = queue.then(|| Arc::from(prefix.as_str()));
    Client::new(nats, prefix, queue).await
}

/// Up to the trailers: asked again after them, this kind of body panics.
fn frames(body: HttpBody) -> impl Stream<Item = Frame<Bytes>> + Send {
    stream::unfold(Some(body), |body| async {
        let mut body = body?;
        let frame = body.frame().await?.ok()?;
        let rest = frame.is_data().then_some(body);
        Some((frame, rest))
    })
}

#[derive(Clone)]
struct Echo;

impl<C: Send> ServeIncomingHandlerHttp<C> for Echo {
    async fn handle(
        &self,
        _: C,
        request: http::Request<HttpBody>,
    ) -> anyhow::Result<
        Result<
            http::Response<impl http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static>,
            bindings::wasi::http::types::ErrorCode,
        >,
    > {
        let (parts, body) = request.into_parts();
        if parts.uri.path() == "/error" {
            return Ok(Err(bindings::wasi::http::types::ErrorCode::InternalError(Some("asked for".into()))));
        }
        let body = StreamBody::new(frames(body).map(Ok));
        let mut response = http::Response::builder().status(201).header("x-method", parts.method.as_str());
        response = response.header("x-uri", parts.uri.to_string());
        Ok(Ok(response.body(body)?))
    }
}

async fn serve(port: &str, id: &str) -> anyhow::Result<()> {
    let client = client(port, id, true).await?;
    let exports =
        bindings::exports::wrpc::http::incoming_handler::serve_interface(&client, ServeHttp(Echo)).await?;
    let blobs = wrpc_interface_blobstore::bindings::exports::wrpc::blobstore::blobstore::serve_interface(
        &client,
        blobs::Blobs,
    )
    .await?;
    let mut blobs = stream::select_all(blobs.into_iter().map(|(_, _, stream)| stream));
    let mut http = stream::select_all(exports.into_iter().map(|(_, _, stream)| stream));
    let mut mirror = pin!(client.serve_values::<(Values,), (Values,)>(INSTANCE, "mirror", []).await?);
    println!("serving");
    loop {
        tokio::select! {
            Some(call) = http.next() => {
                tokio::spawn(async move { call?.await });
            }
            Some(call) = blobs.next() => {
                tokio::spawn(async move { call?.await });
            }
            Some(call) = mirror.next() => {
                let (_, (values,), _, reply) = call?;
                tokio::spawn(reply((values,)));
            }
            else => return Ok(()),
        }
    }
}

async fn call(port: &str, id: &str) -> anyhow::Result<()> {
    let client = client(port, id, false).await?;
    let mut headers = HeaderMap::new();
    headers.insert("source-id", "rust");

    let no_paths: [[Option<usize>; 0]; 0] = [];
    let (back,): (Values,) = client
        .invoke_values_blocking(Some(headers.clone()), INSTANCE, "mirror", (values(),), no_paths)
        .await
        .context("mirror")?;
    ensure!(back == values(), "the mirror is crooked");
    println!("mirror ok");

    // An answer that comes before the client's own task knows of its inbox is lost, and this one is the server's.
    for _ in 0..5 {
        let unserved =
            client.invoke_values_blocking::<_, _, (u32,)>(None, INSTANCE, "unserved", (1u32,), no_paths);
        if let Ok(result) = tokio::time::timeout(Duration::from_secs(5), unserved).await {
            println!("unserved {}", result.is_err());
            break;
        }
    }

    for path in ["/whole", "/nothing"] {
        let request = http::Request::get(format!("http://a{path}")).body(http_body_util::Empty::<Bytes>::new())?;
        let (response, errors, io) = client.invoke_handle_http(Some(headers.clone()), request).await?;
        let response = response.map_err(|code| anyhow!("{code:?}"))?;
        println!("{path} {} {:?}", response.status().as_u16(), response.headers().get("content-length"));
        let reading = frames(response.into_body()).collect::<Vec<_>>();
        let io = futures::future::OptionFuture::from(io);
        let (_, _, body) = futures::join!(io, errors.for_each(|_| async {}), reading);
        println!("{:?}", body.iter().filter_map(|frame| frame.data_ref()).collect::<Vec<_>>());
    }

    for size in [0usize, 5, 3_000_000] {
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-sum", http::HeaderValue::from(size));
        let mut parts: Vec<Result<_, Infallible>> = vec![];
        for start in (0..size).step_by(100_000) {
            parts.push(Ok(Frame::data(Bytes::from(vec![b'r'; (size - start).min(100_000)]))));
        }
        parts.push(Ok(Frame::trailers(trailers)));
        let request = http::Request::builder()
            .method("PUT")
            .uri("http://example.com:81/p?q=1")
            .header("x-a", "1")
            .header("x-a", "2")
            .body(StreamBody::new(stream::iter(parts)))?;
        let (response, errors, io) = client.invoke_handle_http(Some(headers.clone()), request).await?;
        let response = response.map_err(|code| anyhow!("{code:?}"))?;
        let (_, _, body) = futures::join!(
            futures::future::OptionFuture::from(io),
            errors.for_each(|_| async {}),
            async {
                println!("status {}", response.status().as_u16());
                for (name, value) in response.headers() {
                    println!("header {name} {}", value.to_str().unwrap_or("?"));
                }
                frames(response.into_body()).collect::<Vec<_>>().await
            }
        );
        let bytes: Vec<u8> = body.iter().filter_map(|frame| frame.data_ref()).flatten().copied().collect();
        println!("body {} {}", bytes.len(), bytes.iter().all(|byte| *byte == b'r'));
        println!("trailers {:?}", body.last().and_then(|frame| frame.trailers_ref()).and_then(|map| map.get("x-sum")));
    }
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, "serve", port, id] => serve(port, id).await,
        [_, "call", port, id] => call(port, id).await,
        [_, "stream", port, id] => blobs::call(&client(port, id, false).await?).await,
        _ => Err(anyhow!("usage: wrpc_rust serve|call|stream PORT ID")),
    }
}
