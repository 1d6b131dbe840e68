//! Reads files that people hand in. A file of another form than expected is named for what it is, with the
//! command that makes what is wanted.

use std::path::Path;

use super::error::Failure;
use super::in_shell;
use crate::disk;
use crate::model::{Contents, Kind, Unwanted};
use crate::x509::request::{Request, RequestError};

/// Reads the certificate signing request in a file.
///
/// # Errors
/// Where there is none that can be certified. The advice is a command that makes one for `subject`, where
/// there is such a command, and else `otherwise`.
pub fn request(path: &Path, subject: Option<&str>, otherwise: &str) -> Result<Request, Failure> {
    let octets = match disk::read_given(path, Request::MAX as u64) {
        // One octet more than any request has: it is refused for its size.
        Err(error) if error.source.kind() == std::io::ErrorKind::FileTooLarge => vec![0; Request::MAX + 1],
        read => read?,
    };
    Request::parse(&octets).map_err(|why| {
        let advice = subject.and_then(|subject| to_request(path, subject, &Contents::of(&octets), &why));
        Failure::refused(format!("{} {why}", path.display())).hint(advice.as_deref().unwrap_or(otherwise))
    })
}

/// What makes a request, that can be certified, of what was handed in.
fn to_request(path: &Path, subject: &str, contents: &Contents, why: &RequestError) -> Option<String> {
    let ask = format!("-subj /CN={subject} -out {subject}.csr");
    let file = in_shell(&path.display().to_string());
    if *why == RequestError::HoldsKey {
        return Some(format!(
            "`openssl req -in {file} -out request.csr` takes the request out of it"
        ));
    }
    if *why == RequestError::WrittenOut {
        return Some(format!(
            "where the key is, `openssl ec -in KEY -param_enc named_curve -out named.key` names it, and \
             `openssl req -new -key named.key {ask}` makes another request"
        ));
    }
    if !matches!(why, RequestError::Unwanted(Unwanted::Other { .. })) {
        return None;
    }
    match contents.instead()? {
        Kind::PrivateKey => Some(format!(
            "where the key is, `openssl req -new -key {file} {ask}` makes a request with it"
        )),
        Kind::Pkcs12 => Some(format!(
            "where the key is, `openssl pkcs12 -in {file} -nocerts -nodes | openssl req -new -key /dev/stdin {ask}` \
             makes a request with it"
        )),
        Kind::Keystore => Some(format!(
            "`keytool -certreq -keystore {file} -alias ALIAS -file {subject}.csr` makes a request"
        )),
        Kind::Certificate => Some(format!(
            "give the request that it was made of; where the key is, `openssl req -new -key KEY {ask}` makes another"
        )),
        Kind::Crl
        | Kind::Request
        | Kind::PublicKey
        | Kind::Pkcs7
        | Kind::Parameters
        | Kind::WebPage
        | Kind::Other => None,
    }
}

/// The failure for a file that should have certificates, and has none.
pub fn no_certificate(path: &Path, contents: &Contents, why: &Unwanted) -> Failure {
    Failure::refused(format!("{} {why}", path.display())).hint(to_certificate(path, contents))
}

/// The command that makes certificates of a file.
pub fn to_certificate(path: &Path, contents: &Contents) -> String {
    const OUT: &str = "-out certificate.pem";
    let file = in_shell(&path.display().to_string());
    let form = if contents.is_binary { " -inform der" } else { "" };
    match contents.instead() {
        Some(Kind::Pkcs12) => format!(
            "`openssl pkcs12 -in {file} -nokeys {OUT}` asks for its passphrase and takes the certificates out"
        ),
        Some(Kind::Pkcs7) => {
            format!("`openssl pkcs7{form} -in {file} -print_certs {OUT}` takes the certificates out")
        }
        Some(Kind::Keystore) => format!(
            "`keytool -exportcert -rfc -keystore {file} -alias ALIAS -file certificate.pem` takes a certificate out"
        ),
        Some(Kind::Request) => "give the certificate that was made of it".into(),
        _ => {
            "give the certificate whole, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----".into()
        }
    }
}

/// The failure for a file that should have an unencrypted key in PEM, and has none.
pub fn no_key(path: &Path, octets: &[u8]) -> Failure {
    let (shown, file) = (path.display(), in_shell(&path.display().to_string()));
    let is_encrypted = octets.windows(9).any(|some| some == b"ENCRYPTED");
    let made = |how: String| {
        format!("`(umask 077; openssl {how} -out key.pem)` does that; delete key.pem afterwards")
    };
    let contents = Contents::of(octets);
    match contents.instead() {
        Some(Kind::Pkcs12) => Failure::refused(format!(
            "{shown} is a PKCS#12 bundle, whose key must be taken out of it"
        ))
        .hint(made(format!("pkcs12 -in {file} -nocerts -nodes"))),
        Some(Kind::PrivateKey) if contents.is_binary => {
            Failure::refused(format!("{shown} is in DER, and must be made PEM"))
                .hint(made(format!("pkey -inform der -in {file}")))
        }
        _ if is_encrypted => {
            Failure::refused(format!("{shown} has a key that is encrypted, and must be opened"))
                .hint(made(format!("pkey -in {file}")))
        }
        _ => {
            let why = contents
                .all(Kind::PrivateKey)
                .err()
                .unwrap_or(Unwanted::Damaged(Kind::PrivateKey));
            Failure::refused(format!("{shown} {why}"))
                .hint("give the key in PEM: from -----BEGIN PRIVATE KEY----- to -----END PRIVATE KEY-----")
        }
    }
}
