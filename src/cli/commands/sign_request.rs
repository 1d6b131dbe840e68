//! `pki sign-request`: signs a request as a device, for curl and scripts.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use rand_core::Rng;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::credential::{self, Chain, CredentialError};
use crate::disk::{self, Shown};
use crate::key::{SoftwareKey, os_rng};
use crate::message_signature::{self, By, Fields, Method, Request, SharedKey, Target};
use crate::model::Time;

use crate::cli::context::{Context, system_clock};
use crate::cli::error::{Exit, Failure};
use crate::cli::secrets::IssuingSecret;

/// The longest body that is read, in octets.
const LONGEST_BODY: u64 = 256 << 20;
/// The longest file of fields that is read, in octets.
const LONGEST_FIELDS: u64 = 64 << 10;

/// Sign a request with a device's key, for curl and scripts: prints the headers that it is sent with
///
/// A server that verifies signed requests (`pki config requests-node`) knows by them which device has sent
/// it, and that nobody has altered it: method, URL, body and Authorization are signed (RFC 9421). A signature
/// is good for a minute, and once. It needs no home, and sends nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki sign-request https://api.acme.example/orders --cert alice.crt --key alice.key |
      curl -H @- https://api.acme.example/orders
  pki sign-request https://api.acme.example/orders --data order.json --cert alice.crt --key alice.key |
      curl -H @- --data-binary @order.json https://api.acme.example/orders
  pki sign-request … --headers token.txt | curl -H @- -H @token.txt …

What curl changes by itself is not what was signed: give it --path-as-is, and no --compressed body.")]
#[command(mut_args = of_device)]
pub struct Args {
    /// The URL that the request is sent to
    #[arg(value_name = "URL", value_hint = clap::ValueHint::Url)]
    url: Target,
    /// Its method [default: GET; with --data, POST]
    #[arg(short = 'X', long, value_name = "METHOD")]
    method: Option<Method>,
    /// The device's certificate, PEM or DER
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its key, PEM (mode 0600), which may be encrypted
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// A shared key in the place of both: what `pki hmac show HOST ADDRESS --out FILE` has written
    #[arg(long, value_name = "FILE", conflicts_with_all = ["cert", "key"])]
    hmac: Option<PathBuf>,
    /// The body that is sent, octet for octet: a file, or /dev/stdin (curl: --data-binary @FILE)
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Headers that the request will have, one in a line (curl: -H @FILE). Authorization is signed; they are
    /// not printed
    #[arg(long, value_name = "FILE")]
    headers: Option<PathBuf>,
    #[command(flatten)]
    secret: IssuingSecret,
}

/// The key is a device's here, and not that of an authority.
fn of_device(flag: clap::Arg) -> clap::Arg {
    match flag.get_help_heading() {
        Some(IssuingSecret::HEADING) => flag.help_heading("Passphrase of the device's key"),
        _ => flag,
    }
}

/// The headers that the request is sent with.
#[derive(Debug, Serialize)]
struct Report<'a> {
    headers: BTreeMap<&'static str, &'a str>,
    #[serde(skip)]
    fields: &'a Fields,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.fields.all() {
            writeln!(f, "{name}: {value}")?;
        }
        Ok(())
    }
}

/// The key that signs, as it was read.
enum Key {
    Own(Box<Chain>, SoftwareKey),
    Shared(SharedKey),
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let now = system_clock();
    let body = match &args.data {
        Some(path) => disk::read_given(path, LONGEST_BODY)?,
        None => Vec::new(),
    };
    let authorization = match &args.headers {
        Some(path) => authorization(path)?,
        None => None,
    };
    let key = match (&args.cert, &args.key, &args.hmac) {
        (Some(cert), Some(key), _) => own(cert, key, now, &args.secret, context)?,
        (_, _, Some(file)) => Key::Shared(shared(file, &args.url)?),
        (_, _, None) => {
            return Err(Failure::usage("there is nothing to sign with").hint(
                "give --cert FILE and --key FILE; or --hmac FILE, a shared key of a device that cannot sign",
            ));
        }
    };
    let usual = match args.data {
        Some(_) => Method::post(),
        None => Method::get(),
    };
    let request = Request {
        method: args.method.as_ref().unwrap_or(&usual),
        target: &args.url,
        body: &body,
        authorization: authorization.as_ref().map(|value| value.as_str()),
    };
    let by = match &key {
        Key::Own(chain, key) => By::Own(key, &chain.own),
        Key::Shared(key) => By::Shared(key),
    };
    let mut nonce = [0; 16];
    os_rng().fill_bytes(&mut nonce);
    let fields = message_signature::sign(&request, by, now, nonce).map_err(Failure::refused)?;
    context.ui.report(&Report {
        headers: fields.all().collect(),
        fields: &fields,
    })?;
    Ok(Exit::Done)
}

/// The device's own key, with its certificate.
fn own(
    cert: &Path,
    key: &Path,
    now: Time,
    secret: &IssuingSecret,
    context: &Context,
) -> Result<Key, Failure> {
    let chain = credential::read_chain(cert)?;
    let validity = chain.own.validity();
    if validity.ended(now) || now < validity.not_before {
        return Err(Failure::refused(format!(
            "{} is good from {} until {}, and not now: no server takes what it signs",
            cert.display(),
            validity.not_before,
            validity.not_after
        ))
        .hint("name the device's newest certificate with --cert FILE, and look whether this machine's clock is right"));
    }
    let passphrase = credential::is_encrypted(key)?
        .then(|| secret.of_device(&context.ui))
        .transpose()?;
    let opened = credential::read_key(key, passphrase.as_ref())?;
    if !chain.is_of(&opened) {
        let [key, certificate] = [key, cert].map(|path| Shown(path.to_owned()));
        return Err(CredentialError::Mismatch { key, certificate }.into());
    }
    Ok(Key::Own(Box::new(chain), opened))
}

/// A shared key for this host, in a file that nobody else can read.
fn shared(path: &Path, url: &Target) -> Result<SharedKey, Failure> {
    let octets = credential::read_private(path)?;
    let shown = path.display();
    let key = SharedKey::read(&octets).map_err(|why| Failure::refused(format!("{shown} {why}")))?;
    match key.host() == url.host() {
        true => Ok(key),
        false => Err(Failure::refused(format!(
            "{shown} is for {}, and not for {}",
            key.host(),
            url.host()
        ))
        .hint(format!(
            "the key of this device for it: `pki hmac show {} ADDRESS --out FILE`",
            url.host()
        ))),
    }
}

/// The value of Authorization among the headers in a file, as curl reads them.
fn authorization(path: &Path) -> Result<Option<Zeroizing<String>>, Failure> {
    let octets = Zeroizing::new(disk::read_given(path, LONGEST_FIELDS)?);
    let shown = path.display();
    let refused = |why: &str| Failure::refused(format!("{shown} {why}"));
    let text = std::str::from_utf8(&octets).ok().filter(|text| text.is_ascii());
    let text = text.ok_or_else(|| refused("is no list of headers: it is not ASCII"))?;
    let mut found = None;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let (name, value) = line.split_once(':').ok_or_else(|| {
            refused("has a line that is no header").hint("write one in a line: `Name: value`")
        })?;
        match name.to_ascii_lowercase().as_str() {
            "authorization" if found.is_some() => {
                return Err(refused("has Authorization twice").hint("a request has one"));
            }
            "authorization" => found = Some(Zeroizing::new(value.trim_matches([' ', '\t']).to_owned())),
            "content-digest" | "signature" | "signature-input" => {
                return Err(refused(&format!("has {name}, which is what this command makes"))
                    .hint("leave it out of the file"));
            }
            _ => {}
        }
    }
    Ok(found)
}
