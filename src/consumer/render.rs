//! From a template and what is known to a configuration.

use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, context};

use super::language::{Language, Unsayable};
use super::target::{PinFormat, ServerTarget, Template, Verifier};
use super::upstream::Upstream;
use crate::model::{Host, IpRange, PinSet};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
    /// A path or a name that the language of the configuration cannot say.
    #[error(transparent)]
    Unsayable(#[from] Unsayable),
    /// A path that is not text.
    #[error("the path {0} is not UTF-8")]
    NotText(String),
    /// A path that depends on where the server is started.
    #[error("the path {0} is not absolute")]
    Relative(String),
    /// HAProxy finds a key by the name of its certificate.
    #[error(
        "HAProxy reads the key from beside the certificate: X.crt and X.key, and not {certificate} and {key}"
    )]
    KeyElsewhere {
        /// The certificate's file.
        certificate: String,
        /// The key's file.
        key: String,
    },
    /// A template does not work.
    #[error("the template {name} does not work, line {line}: {why}")]
    Template {
        /// Its path below `templates/`.
        name: &'static str,
        /// Where in it.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// More hosts than the form has room for.
    #[error("curl takes the pins of one host, and there are {0}")]
    SeveralHosts(usize),
}

/// What the configuration of a server says.
#[derive(Debug, Clone, Copy)]
pub struct ServerContext<'a> {
    /// Its name.
    pub host: &'a Host,
    /// The port that it listens on.
    pub port: u16,
    /// Its certificate and what is above it, PEM.
    pub certificate: &'a Path,
    /// Its key, PEM.
    pub key: &'a Path,
    /// Where the public half of the publication is on that machine.
    pub public: &'a Path,
    /// Where the servers' half is.
    pub server: &'a Path,
    /// The application behind it.
    pub upstream: &'a Upstream,
    /// The networks that devices come from; empty: from anywhere.
    pub networks: &'a [IpRange],
}

/// Who certifies the servers of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerTrust {
    /// A public CA, which every system knows.
    Public,
    /// This PKI, whose root the app must carry.
    Private,
}

/// What an app is told of its servers' keys.
#[derive(Debug, Clone, Copy)]
pub struct PinContext<'a> {
    /// The keys, host by host.
    pub sets: &'a [PinSet],
    /// Who certifies the servers.
    pub trust: ServerTrust,
    /// The root's certificate, PEM.
    pub root: &'a str,
}

/// The configuration of a server. The template knows `host`, `host_is_address` (an IP address), `port`, `certificate`, `key`, `public`, `server`, `upstream` (`url`,
/// `authority`, `host`, `port`) and `networks` (each with `range`, `address`, `prefix` and `family`, `ipv4` or `ipv6`). The filter `shell`
/// quotes for a shell instead of the file's language.
///
/// # Errors
/// Where the template is faulty, or cannot say one of these.
pub fn render_server(
    target: ServerTarget,
    template: &str,
    about: &ServerContext<'_>,
) -> Result<String, ConsumerError> {
    let Template { name, language, .. } = target.template();
    let [certificate, key, public, server] =
        [about.certificate, about.key, about.public, about.server].map(|path| absolute(path, language));
    let (certificate, key, public, server) = (certificate?, key?, public?, server?);
    if target == ServerTarget::Haproxy
        && key.strip_suffix(".key") != certificate.strip_suffix(".crt").or(Some(""))
    {
        return Err(ConsumerError::KeyElsewhere { certificate, key });
    }
    let networks: Vec<Value> = about
        .networks
        .iter()
        .map(|range| {
            let text = range.to_string();
            let (address, prefix) = text.split_once('/').unwrap_or((&text, ""));
            context! {
                range => plain(&text),
                address => plain(address),
                prefix => plain(prefix),
                family => plain(if address.contains(':') { "ipv6" } else { "ipv4" }),
            }
        })
        .collect();
    let values = context! {
        host => plain(about.host),
        host_is_address => matches!(about.host, Host::Address(_)),
        port => about.port,
        certificate, key, public, server, networks,
        upstream => context! {
            url => plain(about.upstream),
            authority => plain(about.upstream.authority()),
            host => plain(about.upstream.host()),
            port => about.upstream.port(),
        },
    };
    render(name, language, template, values)
}

/// The pins as an app reads them. The template knows `root` (PEM), `private` (whether this PKI certifies the servers) and `sets`, each
/// with `host`, `include_subdomains`, `within` (a host above whose set would hold for it), `expires` (RFC 3339), `expires_on` (the day) and
/// `pins` (base64).
///
/// # Errors
/// Where the template is faulty, or the form has no room for so many hosts.
pub fn render_pins(
    format: PinFormat,
    template: &str,
    about: &PinContext<'_>,
) -> Result<String, ConsumerError> {
    let Template { name, language, .. } = format.template();
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
    render(name, language, template, values)
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

/// A reference verifier of `pins.jws`. The template knows nothing.
///
/// # Errors
/// Where the template is faulty.
pub fn render_verifier(verifier: Verifier, template: &str) -> Result<String, ConsumerError> {
    let Template { name, language, .. } = verifier.template();
    render(name, language, template, context! {})
}

/// A path as text, which this language can say.
fn absolute(path: &Path, language: Language) -> Result<String, ConsumerError> {
    let shown = || path.display().to_string();
    let text = path.to_str().ok_or_else(|| ConsumerError::NotText(shown()))?;
    if !path.is_absolute() {
        return Err(ConsumerError::Relative(shown()));
    }
    language.quote(text)?;
    // Templates put the names of files behind it.
    Ok(text.strip_suffix('/').unwrap_or(text).to_owned())
}

/// What needs no quoting in any language, because its type admits nothing that would.
fn plain(value: impl ToString) -> Value {
    Value::from_safe_string(value.to_string())
}

fn render(
    name: &'static str,
    language: Language,
    template: &str,
    values: Value,
) -> Result<String, ConsumerError> {
    let broken = |error: Error| ConsumerError::Template {
        name,
        line: error.line().unwrap_or(1),
        why: match error.detail() {
            Some(detail) => format!("{} ({detail})", error.kind()),
            None => error.kind().to_string(),
        },
    };
    let mut environment = Environment::new();
    // A line with nothing but a tag leaves no line behind.
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true)
        .build();
    environment.set_syntax(syntax.map_err(broken)?);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    // A misspelt name in somebody's template is an error, not a configuration with a hole.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_formatter(move |out, _, value| {
        let wrong = |why: String| Error::new(ErrorKind::InvalidOperation, why);
        match value.as_str() {
            Some(text) if value.is_safe() => out.write_str(text).map_err(Error::from),
            Some(text) => {
                let quoted = language.quote(text).map_err(|why| wrong(why.to_string()))?;
                out.write_str(&quoted).map_err(Error::from)
            }
            None if value.is_number() => out.write_str(&value.to_string()).map_err(Error::from),
            None => Err(wrong(format!("{} is no text and no number", value.kind()))),
        }
    });
    // A command in a comment is in the shell's language, whatever the file's is.
    environment.add_filter("shell", |text: &str| match Language::Shell.quote(text) {
        Ok(word) => Ok(Value::from_safe_string(word)),
        Err(why) => Err(Error::new(ErrorKind::InvalidOperation, why.to_string())),
    });
    environment
        .render_named_str(name, template, values)
        .map_err(broken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::pin::Role;
    use crate::model::{Pin, Pinned, Time};

    fn server(target: ServerTarget, template: &str, public: &str) -> Result<String, ConsumerError> {
        let networks = ["192.0.2.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        render_server(
            target,
            template,
            &ServerContext {
                host: &"api.acme.example".parse().unwrap(),
                port: 443,
                certificate: Path::new("/c.crt"),
                key: Path::new("/c.key"),
                public: Path::new(public),
                server: Path::new("/s"),
                upstream: &"http://[::1]:3000".parse().unwrap(),
                networks: &networks,
            },
        )
    }

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
        for target in ServerTarget::ALL {
            let text = server(target, target.template().text, "/p").unwrap();
            assert!(
                text.contains("api.acme.example") && text.contains("192.0.2.0"),
                "{text}"
            );
            assert!(!text.contains("{%") && text.ends_with('\n'), "{text}");
        }
        for format in PinFormat::ALL {
            let text = pins(format, format.template().text, 1).unwrap();
            for pin in [Pin([0; 32]), Pin([1; 32])] {
                assert!(text.contains(&pin.to_string()), "{text}");
            }
        }
        for verifier in Verifier::ALL {
            let text = verifier.template().text;
            assert_eq!(render_verifier(verifier, text).unwrap(), text);
        }
    }

    #[test]
    fn what_a_template_puts_together_is_quoted_as_a_whole() {
        let text = server(ServerTarget::Nginx, "{{ public ~ '/x' }}", "/a \"b\"/").unwrap();
        assert_eq!(text, r#""/a \"b\"/x""#);
        let text = server(ServerTarget::Node, "{{ public }}", "/a \"b\"").unwrap();
        assert_eq!(text, r#""/a \"b\"""#);
        let text = server(ServerTarget::Node, "{{ (public ~ '/x') | shell }}", "/$(a)'b\"").unwrap();
        assert_eq!(text, r#"'/$(a)'\''b"/x'"#);
        let text = "{{ host }} {{ port }} {{ upstream.url }} {{ upstream.host }} {{ networks[1].family }}";
        let text = server(ServerTarget::Nginx, text, "/p").unwrap();
        assert_eq!(text, "api.acme.example 443 http://[::1]:3000 ::1 ipv6");
    }

    #[test]
    fn a_path_that_cannot_stand_there_is_refused_before_the_template_is_looked_at() {
        let refused = |target, path| server(target, "", path).unwrap_err();
        assert!(matches!(
            refused(ServerTarget::Nginx, "/a$b"),
            ConsumerError::Unsayable(_)
        ));
        assert!(matches!(
            refused(ServerTarget::Haproxy, "/a b"),
            ConsumerError::Unsayable(_)
        ));
        assert!(matches!(
            refused(ServerTarget::Nginx, "a"),
            ConsumerError::Relative(_)
        ));
    }

    #[test]
    fn a_template_that_does_not_work_is_told_with_its_line() {
        for (template, at) in [("\n{{ hots }}", 2), ("\n\n{{ networks }}", 3), ("{% if %}", 1)] {
            match server(ServerTarget::Nginx, template, "/p") {
                Err(ConsumerError::Template { name, line, .. }) => {
                    assert_eq!((name, line), ("config/nginx.conf", at), "{template}");
                }
                other => panic!("{template}: {other:?}"),
            }
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
