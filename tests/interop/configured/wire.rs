//! A client that has a phone's key and says what no phone says.

use serde_json::{Value, json};

use super::HOST;
use crate::support::{Bundle, Home, Server, finish, python};

const CLIENT: &str = include_str!("wire.py");

/// What a server said to one attempt.
#[derive(Debug)]
pub struct Answer {
    /// All of it, or why there was none.
    pub text: String,
    /// How many seconds it took until it began.
    pub took: f64,
    /// What somebody else was told meanwhile, and after how many seconds.
    pub beside: Option<(String, f64)>,
    /// The server's certificate, PEM.
    pub certificate: String,
}

impl Answer {
    /// Its HTTP status; none where the connection was closed without one.
    pub fn status(&self) -> Option<u16> {
        let rest = self
            .text
            .strip_prefix("HTTP/1.1 ")
            .or_else(|| self.text.strip_prefix("HTTP/2 "))?;
        rest.get(..3)?.parse().ok()
    }
}

/// These texts one after the other, each when something has come back for the one before.
pub fn raw(texts: &[&str]) -> Value {
    json!({ "raw": texts, "name": HOST })
}

/// A request over HTTP/2 with these pseudo-headers and headers.
pub fn http2(headers: &[(&str, &str)]) -> Value {
    json!({ "headers": headers, "name": HOST })
}

/// Makes each attempt on a connection of its own, as the holder of this bundle. Most of the time goes by in
/// waiting for servers that say no more, so that it is waited for several at once.
pub fn say(home: &Home, server: &Server, bundle: &Bundle, attempts: &[Value]) -> Vec<Answer> {
    say_so_many_at_once(8, home, server, bundle, attempts)
}

/// As [`say`], one attempt after the other: where it is asked how long an answer takes.
pub fn say_in_turn(home: &Home, server: &Server, bundle: &Bundle, attempts: &[Value]) -> Vec<Answer> {
    say_so_many_at_once(1, home, server, bundle, attempts)
}

fn say_so_many_at_once(
    at_once: usize,
    home: &Home,
    server: &Server,
    bundle: &Bundle,
    attempts: &[Value],
) -> Vec<Answer> {
    let [leaf, chain, key] = home.opened(bundle);
    let both = [leaf, chain].map(|part| std::fs::read(part).unwrap()).concat();
    std::fs::write(home.path("wire.pem"), both).unwrap();
    let mut command = python();
    command
        .args(["-c", CLIENT, &server.port.to_string(), "wire.pem"])
        .arg(key)
        .arg(at_once.to_string())
        .current_dir(home.path(""));
    let said = finish(&mut command, Value::from(attempts).to_string().as_bytes()).ok();
    let answers: Vec<Value> = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(answers.len(), attempts.len(), "{said}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    answers
        .iter()
        .map(|answer| Answer {
            text: text(&answer["answer"]),
            took: answer["took"].as_f64().unwrap_or_default(),
            beside: answer["beside_took"]
                .as_f64()
                .map(|took| (text(&answer["beside"]), took)),
            certificate: text(&answer["certificate"]),
        })
        .collect()
}
