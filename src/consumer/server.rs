//! Renders the configuration of a server: of any number of hosts behind one port, or of the part that they
//! share.

use std::path::Path;

use minijinja::context;
use minijinja::value::Value;

use super::identifier::identifier;
use super::language::Language;
use super::removed::REMOVED;
use super::render::{ConsumerError, absolute, plain, render, uses};
use super::target::ServerTarget;
use super::upstream::Upstream;
use crate::model::{Host, IpRange};

/// The values for the configuration of a server.
#[derive(Debug, Clone, Copy)]
pub struct ServerContext<'a> {
    /// The part of the configuration to render.
    pub part: Part<'a>,
    /// The port that it listens on.
    pub port: u16,
    /// The directory of the public half of the publication on the server's machine.
    pub public: &'a Path,
    /// The directory of the servers' half there.
    pub server: &'a Path,
    /// Whether the lists of devices are long: then what has changed is in short lists beside them.
    pub short_lists: bool,
    /// The networks that devices are accepted from; empty: from any.
    pub networks: &'a [IpRange],
    /// The path of this program, for commands that are run on the machine of the home.
    pub program: &'a Path,
    /// The path of the home.
    pub home: &'a Path,
}

/// A part of a server's configuration.
#[derive(Debug, Clone, Copy)]
pub enum Part<'a> {
    /// The configuration of these hosts, one or more.
    Hosts(&'a [HostContext<'a>]),
    /// The optional settings that are given once for all hosts of a server.
    Shared,
}

/// The values for one host in the configuration of a server.
#[derive(Debug, Clone, Copy)]
pub struct HostContext<'a> {
    /// The host's name.
    pub host: &'a Host,
    /// The file of the host's certificate and the CA certificates above it, PEM.
    pub certificate: &'a Path,
    /// The file of the host's private key, PEM.
    pub key: &'a Path,
    /// The application to which requests for the host are forwarded.
    pub upstream: &'a Upstream,
}

/// Renders the configuration of a server. The template knows `part` (`hosts` or `shared`), `port`, `public`,
/// `server`, `short_lists` (what has changed is in lists beside the long ones), `program` and `home` (this
/// program and this home, for commands), `networks` (each with `range`, `address`, `prefix` and `family`,
/// `ipv4` or `ipv6`), `removed_headers`, and `hosts`: each with `host`, `host_is_address` (an IP address),
/// `id` (no other host's: letters, digits and `_`), `certificate`, `key` and `upstream` (`url`, `authority`,
/// `host`, `port`). Where there is one host, its values are at the top level, too. The filter `shell` quotes
/// for a shell instead of the file's language; `spellings("-_.")` makes of a header's name all the ways to
/// write it with these marks.
///
/// # Errors
/// Where the template is faulty or has room for one host alone, or the language cannot express a value.
pub fn render_server(
    target: ServerTarget,
    template: &str,
    about: &ServerContext<'_>,
) -> Result<String, ConsumerError> {
    let built_in = target.template();
    let language = built_in.language;
    let (part, contexts) = match about.part {
        Part::Hosts(hosts) => ("hosts", hosts),
        Part::Shared => ("shared", &[][..]),
    };
    let hosts = contexts.iter().map(|host| host_values(target, host));
    let hosts: Vec<Value> = hosts.collect::<Result<_, _>>()?;
    let needed = match about.part {
        Part::Hosts([_]) => None,
        Part::Hosts(_) => Some("hosts"),
        Part::Shared => Some("part"),
    };
    if let Some(value) = needed
        && !uses(built_in, template, value)?
    {
        let name = built_in.name;
        return Err(ConsumerError::OneHost { name, value });
    }
    let values = context! {
        part => plain(part),
        port => about.port,
        public => absolute(about.public, language)?,
        server => absolute(about.server, language)?,
        short_lists => about.short_lists,
        program => about.program.display().to_string(),
        home => about.home.display().to_string(),
        networks => networks(about.networks),
        removed_headers => REMOVED.iter().map(plain).collect::<Vec<Value>>(),
        hosts => &hosts,
    };
    let values = match &hosts[..] {
        [one] => context! { ..values, ..one.clone() },
        _ => values,
    };
    render(built_in, template, values)
}

fn host_values(target: ServerTarget, about: &HostContext<'_>) -> Result<Value, ConsumerError> {
    let language: Language = target.template().language;
    let certificate = absolute(about.certificate, language)?;
    let key = absolute(about.key, language)?;
    if target == ServerTarget::Haproxy
        && key.strip_suffix(".key") != certificate.strip_suffix(".crt").or(Some(""))
    {
        return Err(ConsumerError::KeyElsewhere { certificate, key });
    }
    Ok(context! {
        host => plain(about.host),
        host_is_address => matches!(about.host, Host::Address(_)),
        id => plain(identifier(about.host)),
        certificate, key,
        upstream => context! {
            url => plain(about.upstream),
            authority => plain(about.upstream.authority()),
            host => plain(about.upstream.host()),
            port => about.upstream.port(),
        },
    })
}

fn networks(ranges: &[IpRange]) -> Vec<Value> {
    let values = ranges.iter().map(|range| {
        let text = range.to_string();
        let (address, prefix) = text.split_once('/').unwrap_or((&text, ""));
        context! {
            range => plain(&text),
            address => plain(address),
            prefix => plain(prefix),
            family => plain(if address.contains(':') { "ipv6" } else { "ipv4" }),
        }
    });
    values.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As homes may have them: every value that there was when a server had one host.
    const TEMPLATE_OF_ONE_HOST: &str = "{{ host }}{% if host_is_address %}!{% endif %} {{ port }} {{ certificate }} {{ key }} {{ public }} \
        {{ server }} {{ upstream.url }} {{ upstream.authority }} {{ upstream.host }} {{ upstream.port }} {{ networks[0].range }}";

    fn server(target: ServerTarget, template: &str, public: &str) -> Result<String, ConsumerError> {
        of_hosts(target, template, public, &["api.acme.example"])
    }

    fn of_hosts(
        target: ServerTarget,
        template: &str,
        public: &str,
        hosts: &[&str],
    ) -> Result<String, ConsumerError> {
        let networks = ["192.0.2.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        let hosts: Vec<Host> = hosts.iter().map(|host| host.parse().unwrap()).collect();
        let upstream = "http://[::1]:3000".parse().unwrap();
        let of_one = |host| HostContext {
            host,
            certificate: Path::new("/c.crt"),
            key: Path::new("/c.key"),
            upstream: &upstream,
        };
        let contexts: Vec<HostContext<'_>> = hosts.iter().map(of_one).collect();
        render_server(
            target,
            template,
            &ServerContext {
                part: match &contexts[..] {
                    [] => Part::Shared,
                    some => Part::Hosts(some),
                },
                port: 443,
                public: Path::new(public),
                server: Path::new("/s"),
                short_lists: false,
                networks: &networks,
                program: Path::new("/pki"),
                home: Path::new("/home"),
            },
        )
    }

    #[test]
    fn every_template_that_is_built_in_says_all_that_it_should() {
        for target in ServerTarget::ALL {
            let text = server(target, target.template().text, "/p").unwrap();
            let has_networks = target != ServerTarget::NodeRequests;
            assert!(
                text.contains("api.acme.example") && text.contains("192.0.2.0") == has_networks,
                "{text}"
            );
            assert!(!text.contains("{%") && text.ends_with('\n'), "{text}");
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
    fn a_template_goes_through_the_hosts_and_each_has_names_of_its_own() {
        let text = "{% for host in hosts %}{{ host.id }} {{ host.host }} {{ host.key }}\n{% endfor %}{{ part }} {{ port }}";
        let text = of_hosts(
            ServerTarget::Nginx,
            text,
            "/p",
            &["a-b.example", "a.b.example", "::1"],
        );
        let expected = "a__b_example a-b.example \"/c.key\"\na_b_example a.b.example \"/c.key\"\n\
                        ip___xx1 ::1 \"/c.key\"\nhosts 443";
        assert_eq!(text.unwrap(), expected);
    }

    #[test]
    fn a_template_for_one_host_works_for_one_and_is_named_for_several_or_for_what_they_share() {
        let target = ServerTarget::Nginx;
        let text = server(target, TEMPLATE_OF_ONE_HOST, "/p").unwrap();
        let expected = "api.acme.example 443 \"/c.crt\" \"/c.key\" \"/p\" \"/s\" http://[::1]:3000 [::1]:3000 ::1 3000 192.0.2.0/24";
        assert_eq!(text, expected);
        for (hosts, needed) in [(&["a.example", "b.example"][..], "hosts"), (&[], "part")] {
            match of_hosts(target, TEMPLATE_OF_ONE_HOST, "/p", hosts) {
                Err(ConsumerError::OneHost { name, value }) => {
                    assert_eq!((name, value), ("config/nginx.conf", needed));
                }
                other => panic!("{hosts:?}: {other:?}"),
            }
        }
    }
}
