//! The application behind a server: it tells what it was told, and is as careless as applications are. It
//! lets itself be upgraded to anything, takes a CONNECT, goes on reading requests from what has become a
//! pipe, and takes trailers for headers, a carriage return for the end of a line, and names that CGI folds
//! for the same.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// An application on loopback. It ends with the test's process.
pub struct Upstream {
    /// Its port.
    pub port: u16,
    heard: Arc<Mutex<Vec<Request>>>,
}

/// What it has been asked.
#[derive(Debug, Clone)]
pub struct Request {
    line: String,
    /// Trailers, too.
    headers: Vec<(String, String)>,
}

/// Whether a request is a CONNECT, in letters of any case.
fn connects(line: &str) -> bool {
    let method = line.split(' ').next();
    method.is_some_and(|method| method.eq_ignore_ascii_case("connect"))
}

impl Upstream {
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let shared = heard.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let heard = shared.clone();
                std::thread::spawn(move || converse(&stream, &heard));
            }
        });
        Self { port, heard }
    }

    /// How many requests it has had.
    pub fn served(&self) -> usize {
        self.heard.lock().unwrap().len()
    }

    /// Whether anything of this kind was in what it has been asked, bodies apart.
    pub fn heard(&self, words: &str) -> bool {
        let heard = self.heard.lock().unwrap();
        heard.iter().any(|request| {
            let mut values = request.headers.iter().map(|(_, value)| value);
            request.line.contains(words) || values.any(|value| value.contains(words))
        })
    }
}

/// The name by which CGI, and what goes by its rules, knows a header (RFC 3875 §4.1.18). `-` and `_` are the
/// same everywhere, `.` is one of them to PHP, and some take every other character for one.
pub fn folded(name: &str) -> String {
    let letter = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    format!("HTTP_{}", name.chars().map(letter).collect::<String>())
}

/// The answer to the key of [RFC 6455](https://www.rfc-editor.org/rfc/rfc6455#section-1.3)'s example.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

fn converse(stream: &TcpStream, heard: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        heard.lock().unwrap().push(request.clone());
        let said = |name: &str| {
            let mut all = request.headers.iter();
            all.find(|(given, _)| given.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.as_str())
        };
        let switched = |to: &str| {
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {to}\r\n\
                 Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
            )
        };
        let answer = if request.line.contains(" /101") {
            switched("raw")
        } else if connects(&request.line) {
            "HTTP/1.1 200 OK\r\n\r\n".to_owned()
        } else if let Some(to) = said("upgrade") {
            switched(to)
        } else {
            let body = told(&request.headers);
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = (&*stream).write_all((head + &body).as_bytes());
            return;
        };
        if (&*stream).write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Request> {
    let line = line(reader).filter(|line| !line.is_empty())?;
    let mut headers = fields(reader)?;
    let said = |name: &str| {
        let mut all = headers.iter();
        all.find(|(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.clone())
    };
    let mut body = Vec::new();
    if connects(&line) {
        // What follows is no body, whatever its length is said to be (RFC 9110 §9.3.6).
    } else if said("transfer-encoding").is_some() {
        while let Some(size) = self::line(reader).and_then(|size| u64::from_str_radix(&size, 16).ok()) {
            if size == 0 {
                headers.extend(fields(reader)?);
                break;
            }
            reader.take(size).read_to_end(&mut body).ok()?;
            self::line(reader)?;
        }
    } else if let Some(length) = said("content-length").and_then(|length| length.parse().ok()) {
        reader.take(length).read_to_end(&mut body).ok()?;
    }
    Some(Request { line, headers })
}

/// The fields until an empty line.
fn fields(reader: &mut impl BufRead) -> Option<Vec<(String, String)>> {
    let mut all = Vec::new();
    loop {
        let line = line(reader)?;
        if line.is_empty() {
            return Some(all);
        }
        for line in line.split('\r') {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            all.push((name.to_owned(), value.trim().to_owned()));
        }
    }
}

fn line(reader: &mut impl BufRead) -> Option<String> {
    let mut octets = Vec::new();
    let count = reader.read_until(b'\n', &mut octets).ok()?;
    (count > 0).then(|| String::from_utf8_lossy(&octets).trim_end().to_owned())
}

/// Every value of what an application could take for the device's name, what Connection names (another proxy
/// would take it off), and whose request it is said to be; then all that CGI would make of it.
fn told(headers: &[(String, String)]) -> String {
    let values = |folded_name: &str| -> String {
        headers
            .iter()
            .filter(|(name, _)| folded(name) == folded_name)
            .map(|(_, value)| format!("[{}]", value.chars().take(100).collect::<String>()))
            .collect()
    };
    let mut body = format!(
        "device={}\nconnection={}\nforwarded={}\n",
        values("HTTP_X_CLIENT_DEVICE"),
        values("HTTP_CONNECTION").to_ascii_lowercase(),
        values("HTTP_X_FORWARDED_FOR")
    );
    for (name, value) in headers {
        let value: String = value.chars().take(100).collect();
        body.push_str(&format!("{}={value}\n", folded(name)));
    }
    body
}
