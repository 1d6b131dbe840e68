//! A client for three requests of the S3 protocol: get, head and put, each signed in its URL (AWS Signature
//! Version 4).

use std::cell::RefCell;
use std::io::Read;
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use rusty_s3::{Credentials, S3Action, UrlStyle};
use ureq::http::{HeaderMap, Response, StatusCode, header};
use ureq::{Body, SendBody};

use super::{Access, BucketError, content_type, credentials};
use crate::https;
use crate::model::text::quoted;
use crate::publish::location::Location;

/// How long a signature is good: longer than any request takes.
const SIGNED: Duration = Duration::from_secs(300);
/// How long all that is asked of a store may take in one command: whoever revokes a device waits for it.
const PATIENCE: Duration = Duration::from_secs(120);
/// Of which publication an object is, and the SHA-256 of its content: ETags tell neither.
const NUMBER: &str = "x-amz-meta-pki-number";
const CONTENT: &str = "x-amz-meta-pki-sha256";

/// The errors of an object store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The store refused the request.
    #[error("the store answered with status {status}{said}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// The store's own error code, in parentheses.
        said: String,
    },
    /// The store could not be reached.
    #[error("the store cannot be reached: {0}")]
    Network(String),
    /// There are no trusted certificates, or the endpoint is not valid.
    #[error("the store cannot be asked: {0}")]
    Setup(String),
}

pub(super) struct Client {
    agent: ureq::Agent,
    bucket: rusty_s3::Bucket,
    credentials: Credentials,
    location: Location,
    deadline: Instant,
    /// Why it cannot be reached: it is not asked again by the same command.
    broken: RefCell<Option<StoreError>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({})", self.location)
    }
}

/// An object.
pub(super) struct Got {
    pub octets: Option<Vec<u8>>,
    pub etag: String,
}

/// The metadata of an object.
pub(super) struct Head {
    pub etag: String,
    /// The number of the publication that it is of.
    pub number: Option<u64>,
    /// The store's time, Unix seconds.
    pub date: i64,
    size: Option<u64>,
    sha256: Option<String>,
}

impl Head {
    /// Whether the object has this hash and this size.
    pub fn is(&self, sha256: &[u8; 32], size: u64) -> bool {
        self.size == Some(size) && self.has(sha256)
    }

    /// Whether it has this SHA-256, by the metadata that it was written with.
    pub fn has(&self, sha256: &[u8; 32]) -> bool {
        self.sha256.as_deref() == Some(&HEXLOWER.encode(sha256))
    }
}

/// An object on its way.
pub(super) struct Object<'a> {
    pub path: &'a str,
    pub size: u64,
    pub sha256: String,
    pub number: u64,
}

/// The condition on which an object may be written: what must be there.
pub(super) enum Condition {
    /// There must be no object.
    Absent,
    /// There must be the object with this ETag.
    Is(String),
}

/// The outcome of a write.
pub(super) enum Put {
    Done,
    /// The condition did not hold.
    Changed,
}

impl Client {
    pub fn open(location: &Location, access: &Access) -> Result<Self, BucketError> {
        let setup = |why: String| BucketError::Unreachable(StoreError::Setup(why));
        let Location::Bucket { bucket, .. } = location else {
            return Err(setup(format!("{location} is no bucket")));
        };
        let credentials = credentials::read(&access.credentials_file, &access.profile)?;
        let region = &access.region;
        let endpoint = access.endpoint.clone();
        // A dot in a bucket's name would be one more level of a name that the certificate is not for.
        let style = if endpoint.is_some() || bucket.contains('.') {
            UrlStyle::Path
        } else {
            UrlStyle::VirtualHost
        };
        let endpoint = endpoint.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        let is_local = endpoint.starts_with("http://");
        let url = endpoint.parse().map_err(|e| setup(format!("{endpoint}: {e}")))?;
        let bucket = rusty_s3::Bucket::new(url, style, bucket.clone(), region.clone());
        let bucket = bucket.map_err(|e| setup(format!("{endpoint}: {e}")))?;
        let config = if is_local {
            https::plain_client().proxy(None)
        } else {
            https::client(access.ca.as_deref())
                .map_err(|e| setup(e.to_string()))?
                .https_only(true)
        };
        Ok(Self {
            agent: config.build().new_agent(),
            bucket,
            credentials,
            location: location.clone(),
            deadline: Instant::now() + PATIENCE,
            broken: RefCell::new(None),
        })
    }

    /// The name of an object, for messages.
    pub fn name(&self, path: &str) -> String {
        format!("{}/{path}", self.location)
    }

    fn key(&self, path: &str) -> String {
        match &self.location {
            Location::Bucket { prefix, .. } if !prefix.is_empty() => format!("{prefix}/{path}"),
            Location::Bucket { .. } | Location::Directory(_) => path.to_owned(),
        }
    }

    /// An object and its ETag, if there is one; without its content where it has more than so many octets.
    pub fn get(&self, path: &str, longest: u64) -> Result<Option<Got>, BucketError> {
        let key = self.key(path);
        let url = self.bucket.get_object(Some(&self.credentials), &key).sign(SIGNED);
        let left = self.left()?;
        let request = self
            .agent
            .get(url.as_str())
            .config()
            .timeout_global(Some(left))
            .build();
        let Some(response) = self.found(path, request.call())? else {
            return Ok(None);
        };
        let etag = text(response.headers(), header::ETAG).unwrap_or_default();
        let mut octets = Vec::new();
        let mut reader = response.into_body().into_reader().take(longest + 1);
        let read = reader.read_to_end(&mut octets);
        read.map_err(|error| self.broke(StoreError::Network(error.to_string())))?;
        Ok(Some(Got {
            octets: Some(octets).filter(|octets| octets.len() as u64 <= longest),
            etag,
        }))
    }

    /// Requests the metadata of an object, if there is one.
    pub fn head(&self, path: &str) -> Result<Option<Head>, BucketError> {
        let key = self.key(path);
        let url = self
            .bucket
            .head_object(Some(&self.credentials), &key)
            .sign(SIGNED);
        let left = self.left()?;
        let request = self
            .agent
            .head(url.as_str())
            .config()
            .timeout_global(Some(left))
            .build();
        let Some(response) = self.found(path, request.call())? else {
            return Ok(None);
        };
        let headers = response.headers();
        let date = text(headers, header::DATE).and_then(|date| https::seconds(&date));
        Ok(Some(Head {
            etag: text(headers, header::ETAG).unwrap_or_default(),
            number: text(headers, NUMBER).and_then(|number| number.parse().ok()),
            date: date.unwrap_or(i64::MAX - super::AHEAD),
            size: text(headers, header::CONTENT_LENGTH).and_then(|size| size.parse().ok()),
            sha256: text(headers, CONTENT),
        }))
    }

    /// Writes an object, where the condition holds.
    pub fn put(
        &self,
        object: &Object<'_>,
        condition: &Condition,
        octets: &mut dyn Read,
    ) -> Result<Put, BucketError> {
        let key = self.key(object.path);
        let number = object.number.to_string();
        let (name, value) = match condition {
            Condition::Absent => ("if-none-match", "*"),
            Condition::Is(etag) => ("if-match", etag.as_str()),
        };
        let headers = [
            (name, value),
            (NUMBER, &number),
            (CONTENT, &object.sha256),
            ("content-type", content_type(object.path)),
            // A cache that keeps a CRL keeps a lost phone in.
            ("cache-control", "no-cache"),
        ];
        let mut action = self.bucket.put_object(Some(&self.credentials), &key);
        for (name, value) in headers {
            action.headers_mut().insert(name, value);
        }
        let url = action.sign(SIGNED);
        let left = self.left()?;
        let mut request = self
            .agent
            .put(url.as_str())
            .config()
            .timeout_global(Some(left))
            .build();
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request = request.header("content-length", object.size.to_string());
        let response = request.send(SendBody::from_reader(&mut { octets }));
        let response = response.map_err(|error| self.broke(StoreError::Network(error.to_string())))?;
        match response.status() {
            status if status.is_success() => Ok(Put::Done),
            // 404: what had the ETag is gone. 409: somebody else is writing it at this moment.
            StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT => Ok(Put::Changed),
            StatusCode::NOT_FOUND if matches!(condition, Condition::Is(_)) => Ok(Put::Changed),
            status => Err(self.refused(object.path, status, response)),
        }
    }

    /// The time that is left. A store that could not be reached is not asked again.
    fn left(&self) -> Result<Duration, BucketError> {
        if let Some(broken) = &*self.broken.borrow() {
            return Err(BucketError::Unreachable(broken.clone()));
        }
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let why = format!("it took longer than {} s", PATIENCE.as_secs());
            return Err(self.broke(StoreError::Network(why)));
        }
        Ok(left)
    }

    fn broke(&self, why: StoreError) -> BucketError {
        self.broken.replace(Some(why.clone()));
        BucketError::Unreachable(why)
    }

    /// A response with an object in it; nothing where there is no such object.
    fn found(
        &self,
        path: &str,
        response: Result<Response<Body>, ureq::Error>,
    ) -> Result<Option<Response<Body>>, BucketError> {
        let response = response.map_err(|error| self.broke(StoreError::Network(error.to_string())))?;
        match response.status() {
            StatusCode::OK => Ok(Some(response)),
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(self.refused(path, status, response)),
        }
    }

    fn refused(&self, path: &str, status: StatusCode, response: Response<Body>) -> BucketError {
        let mut said = String::new();
        // What cannot be read of a refusal is not needed to refuse.
        let _ = response
            .into_body()
            .into_reader()
            .take(4096)
            .read_to_string(&mut said);
        let code = said
            .split_once("<Code>")
            .and_then(|(_, rest)| rest.split_once("</Code>"));
        BucketError::Store {
            key: self.name(path),
            why: StoreError::Status {
                status: status.as_u16(),
                said: code
                    .map(|(code, _)| format!(" ({})", quoted(code)))
                    .unwrap_or_default(),
            },
        }
    }
}

fn text(headers: &HeaderMap, name: impl header::AsHeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}
