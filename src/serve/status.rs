//! The face for status, plain http as everything on it is signed or public: what is published for everybody,
//! and OCSP.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::answer::Told;
use super::monitor::{self, Monitor};
use super::ocsp::Responder;

/// How long others may keep what is published.
const KEPT: &str = "public, max-age=60";
/// The directories of a publication's public half.
const DIRECTORIES: [&str; 3] = ["ca", "crl", "pins"];

/// What the handlers of status share.
pub struct Shared {
    /// The home's own copy of the publication's public half.
    pub public: PathBuf,
    /// What was read of it.
    pub files: Files,
    /// The OCSP responder.
    pub responder: Responder,
    /// What it counts, and whether the service is ready.
    pub monitor: Arc<Monitor>,
}

/// The routes of the face for status.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .merge(monitor::alive())
        .merge(monitor::ready(shared.monitor.clone()))
        .merge(monitor::counted(shared.monitor.clone()))
        .method_not_allowed_fallback(async || Told::wrong_method())
        .fallback(answer)
        .with_state(shared)
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let path = uri.path();
    let is_read = method == Method::GET || method == Method::HEAD;
    let refused = |allow| ([(header::ALLOW, allow)], Told::wrong_method()).into_response();
    if path == "/ocsp" {
        return match method {
            Method::POST => shared.responder.post(&headers, body).await,
            _ => refused("POST"),
        };
    }
    let is_question = path.starts_with("/ocsp/");
    match place(&shared.public, path) {
        _ if is_question && is_read => shared.responder.get(&uri),
        Some(place) if is_read => published(shared, place, &headers).await,
        None if !is_question => Told::nothing_here().into_response(),
        Some(_) | None => refused("GET, HEAD"),
    }
}

/// The file that a path names: one of a publication's directories, and a plain name.
pub(super) fn place(public: &Path, path: &str) -> Option<PathBuf> {
    let (directory, name) = path.strip_prefix('/')?.split_once('/')?;
    let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_');
    let is_file = !name.is_empty() && !name.starts_with('.') && name.bytes().all(is_plain);
    (DIRECTORIES.contains(&directory) && is_file).then(|| public.join(directory).join(name))
}

/// What was read of published files, once for all who ask: whoever does not read what he has asked for has no
/// copy of his own.
#[derive(Default)]
pub struct Files(Mutex<HashMap<PathBuf, (String, Bytes)>>);

impl Files {
    /// The ETag of a file, and what is in it; not that where it is `known` by its tag. Each file is replaced
    /// as a whole, so that it is known by its inode.
    fn read(&self, place: &Path, known: Option<&HeaderValue>) -> io::Result<(String, Option<Bytes>)> {
        let mut file = std::fs::File::open(place)?;
        let metadata = file.metadata()?;
        let tag = format!(
            "\"{:x}-{:x}-{:x}.{:x}\"",
            metadata.ino(),
            metadata.len(),
            metadata.mtime(),
            metadata.mtime_nsec()
        );
        if known.is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
            return Ok((tag, None));
        }
        // Whoever comes meanwhile waits for what is being read.
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((read, octets)) = files.get(place)
            && *read == tag
        {
            return Ok((tag, Some(octets.clone())));
        }
        let mut octets = Vec::new();
        io::Read::read_to_end(&mut file, &mut octets)?;
        let octets = Bytes::from(octets);
        files.insert(place.to_owned(), (tag.clone(), octets.clone()));
        Ok((tag, Some(octets)))
    }
}

/// A published file with its ETag.
async fn published(shared: Arc<Shared>, place: PathBuf, headers: &HeaderMap) -> Response {
    let media_type = media_type(&place);
    let known = headers.get(header::IF_NONE_MATCH).cloned();
    let read = tokio::task::spawn_blocking(move || shared.files.read(&place, known.as_ref()));
    let Ok(Ok((tag, octets))) = read.await else {
        return Told::nothing_here().into_response();
    };
    let mut response = match octets {
        None => StatusCode::NOT_MODIFIED.into_response(),
        Some(octets) => ([(header::CONTENT_TYPE, media_type)], octets).into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(KEPT));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

fn media_type(place: &Path) -> &'static str {
    match place.extension().and_then(|extension| extension.to_str()) {
        Some("crl") => "application/pkix-crl",
        Some("der") => "application/pkix-cert",
        Some("json") => "application/json",
        Some("jws") => "application/jose",
        Some("pem" | "crt") => "application/x-pem-file",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_what_is_published_is_named_by_a_path() {
        let public = Path::new("/home/public");
        assert_eq!(
            place(public, "/crl/issuing.crl"),
            Some("/home/public/crl/issuing.crl".into())
        );
        for path in [
            "/",
            "/crl",
            "/crl/",
            "/crl/..",
            "/crl/../../issuing/issuing.key",
            "/crl/.hidden",
            "/server/devices.json",
            "/manifest.jws",
            "/crl/a/b",
            "/crl/a%2Fb",
            "//crl/issuing.crl",
        ] {
            assert_eq!(place(public, path), None, "{path}");
        }
    }
}
