//! Advice on configurations that cannot be printed.

use super::Advice;
use crate::consumer::ConsumerError;

impl Advice for ConsumerError {
    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::Unsayable(_) | Self::NotText(_) => {
                "give the file or directory a plain name on that server".into()
            }
            Self::Relative(_) => {
                "write the whole path, as it is on that server: /etc/pki/api.crt, for instance".into()
            }
            Self::KeyElsewhere { .. } => "name both alike: --cert /etc/pki/X.crt --key /etc/pki/X.key".into(),
            Self::Template { name, .. } => format!(
                "correct templates/{name} in the home, or remove it: the one built in takes its place"
            ),
            Self::OneHost { name, value } => format!(
                "begin anew from the one that is built in (`--template` prints it, and it goes by `{value}`), remove templates/{name} \
                 from the home, or print a file for each host"
            ),
            Self::SeveralHosts(_) => "name one of them".into(),
        })
    }
}
