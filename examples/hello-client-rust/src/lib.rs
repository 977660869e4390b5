// SPDX-License-Identifier: Apache-2.0
//! Answers HTTP requests with what a provider of acme:hello/greeter says: `/NAME/AGE/LANGUAGE`.

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

wit_bindgen::generate!({ world: "client", path: "wit", generate_all });

use acme::hello::greeter::{greet, Person};

struct Client;

wasip2::http::proxy::export!(Client);

fn answer(path: &str) -> (u16, String) {
    let mut words = path.trim_start_matches('/').split('/');
    let name = words.next().unwrap_or_default().to_string();
    let age = words.next().and_then(|age| age.parse().ok()).unwrap_or(42);
    let language = words.next().unwrap_or("en");
    match greet(&Person { name, age }, language) {
        Ok(greeting) => (200, greeting),
        Err(error) => (422, error),
    }
}

impl Guest for Client {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let (status, text) = answer(&request.path_with_query().unwrap_or_default());
        let response = OutgoingResponse::new(Fields::new());
        response.set_status_code(status).unwrap();
        let body = response.body().unwrap();
        ResponseOutparam::set(out, Ok(response));

        let stream = body.write().unwrap();
        // An error from here on means that the client has left: there is nobody to tell.
        if stream.blocking_write_and_flush(format!("{text}\n").as_bytes()).is_ok() {
            drop(stream);
            let _ = OutgoingBody::finish(body, None);
        }
    }
}
