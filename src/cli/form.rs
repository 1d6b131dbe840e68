//! Files that are not what they are given for: told for what they are, with the command that makes what is wanted.

use std::path::Path;

use super::failure::Failure;
use super::in_shell;
use crate::model::Encoding;

/// A file that should have certificates in PEM, and has not.
pub fn no_certificate(path: &Path, octets: &[u8]) -> Failure {
    let encoding = Encoding::of(octets);
    let what = match encoding {
        Encoding::Pkcs12 => "is a PKCS#12 bundle, and no certificate in PEM",
        Encoding::Der => "is in DER, and not in PEM",
        Encoding::Pem => "has no certificate in it that is whole",
        Encoding::Other => "is no certificate in PEM",
    };
    Failure::refused(format!("{} {what}", path.display())).hint(to_certificate(path, encoding))
}

/// What makes certificates in PEM of a file.
pub fn to_certificate(path: &Path, encoding: Encoding) -> String {
    let file = in_shell(&path.display().to_string());
    match encoding {
        Encoding::Pkcs12 => format!(
            "`openssl pkcs12 -in {file} -nokeys -out certificate.pem` asks for its passphrase and takes the certificates out"
        ),
        Encoding::Der => {
            format!("`openssl x509 -inform der -in {file} -out certificate.pem` makes PEM of a certificate")
        }
        Encoding::Pem | Encoding::Other => {
            "give the certificate whole, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----".into()
        }
    }
}

/// A file that should have a key in PEM that is not encrypted, and has not.
pub fn no_key(path: &Path, octets: &[u8]) -> Failure {
    let (shown, file) = (path.display(), in_shell(&path.display().to_string()));
    let is_encrypted = octets.windows(9).any(|some| some == b"ENCRYPTED");
    let made = |how: String| {
        format!("`(umask 077; openssl {how} -out key.pem)` does that; delete key.pem afterwards")
    };
    match Encoding::of(octets) {
        Encoding::Pkcs12 => Failure::refused(format!(
            "{shown} is a PKCS#12 bundle, whose key must be taken out of it"
        ))
        .hint(made(format!("pkcs12 -in {file} -nocerts -nodes"))),
        Encoding::Der => Failure::refused(format!("{shown} is in DER, and must be made PEM"))
            .hint(made(format!("pkey -inform der -in {file}"))),
        Encoding::Pem if is_encrypted => {
            Failure::refused(format!("{shown} has a key that is encrypted, and must be opened"))
                .hint(made(format!("pkey -in {file}")))
        }
        Encoding::Pem => Failure::refused(format!("{shown} has no private key in it that is whole"))
            .hint("give the key in PEM: from -----BEGIN PRIVATE KEY----- to -----END PRIVATE KEY-----"),
        Encoding::Other => Failure::refused(format!("{shown} is no private key in PEM"))
            .hint("give one that begins with -----BEGIN PRIVATE KEY-----"),
    }
}
