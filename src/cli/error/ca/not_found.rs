//! Advice on names that are in no ledger.

use crate::ca::NotFound;
use crate::cli::error::Advice;
use crate::model::Serial;

/// What to do about a name that is not known.
const LIST: &str = "`pki list` shows who and what there is";

impl Advice for NotFound {
    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::Device(address) => format!(
                "`pki list --employee {}` shows her devices; `pki issue {address}` makes one",
                address.employee
            ),
            Self::Employee(name) => match name.as_str().parse::<Serial>() {
                Err(why) if Serial::resembles(name.as_str()) => why.to_string(),
                // The name of a host, for all that is known here.
                Ok(_) | Err(_) if name.as_str().contains('.') => {
                    format!(
                        "{LIST}; of a server, `pki server list` shows the keys, and `pki revoke SERIAL` takes a certificate"
                    )
                }
                Ok(_) | Err(_) => LIST.to_owned(),
            },
            Self::Certificate(_) => LIST.into(),
            Self::Server(host) => {
                format!(
                    "`pki server list` shows those that there are; `pki server add {host}` takes it in; of one that orders by ACME, `pki server acme {host} --cancel` ends that"
                )
            }
            Self::ServerCertificate(host) => format!("`pki server issue {host} --out DIR` makes one"),
            Self::HmacHost(host) => {
                format!(
                    "`pki hmac show` shows those that have; `pki hmac rotate {host}` makes its first ones"
                )
            }
            Self::Account(..) => "`pki server list` shows those that there are".into(),
            Self::Accounts(host) => {
                format!("`pki server list` shows those that there are; `pki server acme {host}` grants one")
            }
            Self::Invite(_) => "`pki invite list` shows those that there are".into(),
        })
    }
}
