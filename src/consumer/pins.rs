//! Renders the pins of servers' keys in the form that an app reads, and the code that apps copy.

use minijinja::context;
use minijinja::value::Value;

use super::render::{ConsumerError, plain, render};
use super::target::{AppCode, PinFormat};
use crate::model::{Host, PinSet};

/// The kind of CA that certifies the servers of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerTrust {
    /// A public CA, which every system knows.
    Public,
    /// This PKI, whose root the app must carry.
    Private,
}

/// The values for the configuration of an app: the pins of its servers' keys, and the root.
#[derive(Debug, Clone, Copy)]
pub struct PinContext<'a> {
    /// The pin sets, one for each host.
    pub sets: &'a [PinSet],
    /// The kind of CA that certifies the servers.
    pub trust: ServerTrust,
    /// The root's certificate, PEM.
    pub root: &'a str,
}

/// Renders the pins in the form that an app reads. The template knows `root` (PEM), `private` (whether this
/// PKI certifies the servers) and `sets`, each with `host`, `include_subdomains`, `within` (a host above
/// whose set would hold for it), `expires` (RFC 3339), `expires_on` (the day) and `pins` (base64).
///
/// # Errors
/// Where the template is faulty, or the form has no room for so many hosts.
pub fn render_pins(
    format: PinFormat,
    template: &str,
    about: &PinContext<'_>,
) -> Result<String, ConsumerError> {
    if format == PinFormat::Curl && about.sets.len() != 1 {
        return Err(ConsumerError::SeveralHosts(about.sets.len()));
    }
    let sets: Vec<Value> = about
        .sets
        .iter()
        .map(|set| {
            let pins: Vec<Value> = set.pins.iter().map(|pinned| plain(pinned.pin)).collect();
            context! {
                host => plain(&set.host),
                include_subdomains => set.include_subdomains,
                within => within(about.sets, &set.host).map(plain),
                expires => plain(set.expires),
                expires_on => plain(set.expires.date()),
                pins,
            }
        })
        .collect();
    let values = context! {
        sets,
        private => about.trust == ServerTrust::Private,
        root => plain(about.root),
    };
    render(format.template(), template, values)
}

/// The host above this one whose pins hold for the hosts below it, if there is one.
fn within<'a>(sets: &'a [PinSet], host: &Host) -> Option<&'a Host> {
    let Host::Name(_) = host else {
        return None;
    };
    let name = host.to_string();
    let above = |set: &&PinSet| {
        let rest = name.strip_suffix(&set.host.to_string());
        set.include_subdomains && rest.is_some_and(|rest| rest.ends_with('.'))
    };
    sets.iter().find(above).map(|set| &set.host)
}

/// Renders code for an app. The template has no values.
///
/// # Errors
/// Where the template is faulty.
pub fn render_app_code(code: AppCode, template: &str) -> Result<String, ConsumerError> {
    render(code.template(), template, context! {})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::pin::Role;
    use crate::model::{Pin, Pinned, Time};

    fn sets(count: usize) -> Vec<PinSet> {
        let since = Time::from_unix(1_795_000_000);
        let pinned = |octet, role| Pinned {
            pin: Pin([octet; 32]),
            role,
            since,
        };
        (0..count)
            .map(|number| PinSet {
                host: format!("h{number}.acme.example").parse().unwrap(),
                include_subdomains: number == 0,
                expires: since,
                pins: vec![pinned(0, Role::Active), pinned(1, Role::Backup)],
            })
            .collect()
    }

    fn pins(format: PinFormat, template: &str, count: usize) -> Result<String, ConsumerError> {
        let about = PinContext {
            sets: &sets(count),
            trust: ServerTrust::Private,
            root: "PEM",
        };
        render_pins(format, template, &about)
    }

    #[test]
    fn every_template_that_is_built_in_says_all_that_it_should() {
        for format in PinFormat::ALL {
            let text = pins(format, format.template().text, 1).unwrap();
            for pin in [Pin([0; 32]), Pin([1; 32])] {
                assert!(text.contains(&pin.to_string()), "{text}");
            }
        }
        for verifier in AppCode::ALL {
            let text = verifier.template().text;
            assert_eq!(render_app_code(verifier, text).unwrap(), text);
        }
    }

    #[test]
    fn only_curl_has_room_for_one_host_alone() {
        for format in PinFormat::ALL {
            let text = pins(format, format.template().text, 2);
            match format {
                PinFormat::Curl => assert!(matches!(text, Err(ConsumerError::SeveralHosts(2)))),
                PinFormat::Android | PinFormat::Ios | PinFormat::Okhttp | PinFormat::Trustkit => {
                    assert!(text.unwrap().contains("h1.acme.example"));
                }
            }
        }
    }
}
