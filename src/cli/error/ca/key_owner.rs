//! Advice on keys that are refused because of whose they are.

use crate::ca::UnfitKey;
use crate::cli::error::Advice;

impl Advice for UnfitKey {
    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::OfAnother(_) | Self::OfCa | Self::OfServer(_) | Self::OfAccount(_) => {
                "have a new key made, and a request with it: a key is one device's, or a server's".into()
            }
            Self::Dropped(host) => format!(
                "have a new key made, and a request or certificate with it; of a server of the register, `pki server rotate {host} --compromised`"
            ),
            Self::Revoked { .. } => "have the device make a new key, and a request with it".into(),
            Self::InReserve(host) => {
                format!("`pki server rotate {host}` takes it into use; until then apps may not know it")
            }
            Self::Retiring(host) => format!(
                "have the key in use certified: `pki server csr {host}` writes a request for it, `pki server issue {host} --out DIR`, where its key is, certifies it here"
            ),
            Self::Strange(host) => format!(
                "apps would refuse the server with it: certify the key that is pinned (`pki server csr {host}`; one that was imported, where it is: \
                 certbot keeps it with --reuse-key), and find out where this one came from",
            ),
        })
    }
}
