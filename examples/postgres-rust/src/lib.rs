// SPDX-License-Identifier: Apache-2.0
//! SQL over HTTP: the body of a request is a statement, the answer its rows as JSON.

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

wit_bindgen::generate!({ world: "postgres", path: "wit", generate_all });

use wasmcloud::postgres::prepared::{exec, prepare};
use wasmcloud::postgres::query::{query, query_batch};
use wasmcloud::postgres::types::{
    HashableF64, PgValue, PreparedStatementExecError, QueryError, ResultRow, StatementPrepareError,
};

struct Postgres;

wasip2::http::proxy::export!(Postgres);

/// Status and text.
type Answer = (u16, String);

impl From<QueryError> for Answer {
    fn from(error: QueryError) -> Answer {
        match error {
            QueryError::InvalidParams(text) | QueryError::InvalidQuery(text) => (400, text),
            QueryError::Unexpected(text) => (502, text),
        }
    }
}

impl From<StatementPrepareError> for Answer {
    fn from(error: StatementPrepareError) -> Answer {
        let StatementPrepareError::Unexpected(text) = error;
        (502, text)
    }
}

impl From<PreparedStatementExecError> for Answer {
    fn from(error: PreparedStatementExecError) -> Answer {
        match error {
            PreparedStatementExecError::UnknownPreparedQuery => (404, "no such statement".into()),
            PreparedStatementExecError::QueryError(error) => error.into(),
            PreparedStatementExecError::Unexpected(text) => (502, text),
        }
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out + "\""
}

fn float((mantissa, exponent, sign): HashableF64) -> f64 {
    f64::from(sign) * mantissa as f64 * 2f64.powi(exponent.into())
}

fn json(value: &PgValue) -> String {
    match value {
        PgValue::Null => "null".into(),
        PgValue::Bool(value) => value.to_string(),
        PgValue::Int8(value) => value.to_string(),
        PgValue::Int4(value) => value.to_string(),
        PgValue::Int2(value) => value.to_string(),
        PgValue::Float8(value) | PgValue::Float4(value) => float(*value).to_string(),
        PgValue::Numeric(text) | PgValue::Json(text) | PgValue::Jsonb(text) => text.clone(),
        PgValue::Text(text) | PgValue::Name(text) | PgValue::Uuid(text) => quoted(text),
        PgValue::Varchar((_, bytes)) => quoted(&String::from_utf8_lossy(bytes)),
        PgValue::TextArray(texts) => {
            let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
            format!("[{}]", texts.join(","))
        }
        other => quoted(&format!("{other:?}")),
    }
}

fn object(row: ResultRow) -> String {
    let entry = |entry: &wasmcloud::postgres::types::ResultRowEntry| {
        format!("{}:{}", quoted(&entry.column_name), json(&entry.value))
    };
    format!("{{{}}}", row.iter().map(entry).collect::<Vec<_>>().join(","))
}

/// `path` is `/FUNCTION?PARAMETER&PARAMETER`; nothing in it is encoded.
fn answer(target: &str, sql: &str) -> Result<String, Answer> {
    let (path, list) = target.split_once('?').unwrap_or((target, ""));
    let texts = list.split('&').filter(|text| !text.is_empty());
    let params: Vec<PgValue> = texts.map(|text| PgValue::Text(text.into())).collect();
    match path {
        "/query" => {
            let rows: Vec<String> = query(sql, &params)?.into_iter().map(object).collect();
            Ok(format!("[{}]", rows.join(",")))
        }
        "/batch" => query_batch(sql).map(|()| "done".into()).map_err(Answer::from),
        "/exec" => Ok(exec(&prepare(sql)?, &params)?.to_string()),
        _ => Err((404, "no such path".into())),
    }
}

fn read_body(request: &IncomingRequest) -> String {
    let body = request.consume().unwrap();
    let stream = body.stream().unwrap();
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(65536) {
            Ok(part) => bytes.extend(part),
            Err(_) => break, // the end
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Guest for Postgres {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let (status, mut text) = match answer(&target, &read_body(&request)) {
            Ok(text) => (200, text),
            Err(error) => error,
        };
        text.push('\n');
        let response = OutgoingResponse::new(Fields::new());
        response.set_status_code(status).unwrap();
        let body = response.body().unwrap();
        ResponseOutparam::set(out, Ok(response));

        let stream = body.write().unwrap();
        // An error from here on means that the client has left: there is nobody to tell.
        let sent = text.as_bytes().chunks(4096);
        if sent.map(|part| stream.blocking_write_and_flush(part)).all(|sent| sent.is_ok()) {
            drop(stream);
            let _ = OutgoingBody::finish(body, None);
        }
    }
}
