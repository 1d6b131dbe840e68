//! The recipients of a configuration, a [`Target`] each: the words that `pki config` and `pki pins show
//! --format` take, each with its template.

use std::fmt;
use std::str::FromStr;

use super::language::Language;
use crate::model::text::quoted;

/// The recipient of a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A server that lets in devices only.
    Server(ServerTarget),
    /// An app that recognises its server by the pin of its key.
    Pins(PinFormat),
    /// An app, which has this code in it.
    App(AppCode),
    /// The timer that runs `pki publish` on the machine of the home.
    Timer(TimerTarget),
}

/// The timer that runs `pki publish` on the machine of the home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimerTarget {
    /// Units of systemd, in a script that writes them.
    Systemd,
    /// Lines for `/etc/cron.d`.
    Cron,
}

/// A server that lets in devices only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerTarget {
    /// nginx.
    Nginx,
    /// HAProxy.
    Haproxy,
    /// Apache httpd.
    Apache,
    /// Envoy.
    Envoy,
    /// Node.js: the application itself.
    Node,
    /// Node.js behind any of these: the application verifies requests that devices sign.
    NodeRequests,
    /// Caddy.
    Caddy,
    /// AWS Application Load Balancer.
    AwsAlb,
    /// AWS API Gateway.
    AwsApiGateway,
    /// FreeRADIUS: Wi-Fi.
    Freeradius,
    /// Mosquitto: MQTT.
    Mosquitto,
    /// PostgreSQL.
    Postgresql,
    /// OpenVPN.
    Openvpn,
}

/// A form in which an app reads pins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinFormat {
    /// Android's `network_security_config.xml`.
    Android,
    /// iOS: `NSPinnedDomains` for `Info.plist`.
    Ios,
    /// OkHttp, in Kotlin.
    Okhttp,
    /// TrustKit, for `Info.plist`.
    Trustkit,
    /// curl.
    Curl,
}

/// Code for an app, to copy: it verifies `pins.jws`, or signs requests with the device's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppCode {
    /// A verifier of pins, for Node.js.
    VerifyNode,
    /// A verifier of pins in Kotlin, for Android and the JVM.
    VerifyKotlin,
    /// A verifier of pins in Swift.
    VerifySwift,
    /// A signer of requests in JavaScript, for `fetch`.
    RequestsJs,
    /// A signer of requests in Kotlin, for OkHttp.
    RequestsKotlin,
    /// A signer of requests in Swift, for URLSession.
    RequestsSwift,
}

/// A template that is built in.
#[derive(Debug, Clone, Copy)]
pub struct Template {
    /// Its path below `templates/`, here and in a home.
    pub name: &'static str,
    /// The text of the template.
    pub text: &'static str,
    /// The language for which its values are quoted.
    pub language: Language,
}

macro_rules! template {
    ($name:literal, $language:ident) => {
        Template {
            name: $name,
            text: include_str!(concat!("../../templates/", $name)),
            language: Language::$language,
        }
    };
}

impl ServerTarget {
    /// Every kind of server.
    pub const ALL: [Self; 13] = [
        Self::Nginx,
        Self::Haproxy,
        Self::Apache,
        Self::Envoy,
        Self::Node,
        Self::NodeRequests,
        Self::Caddy,
        Self::AwsAlb,
        Self::AwsApiGateway,
        Self::Freeradius,
        Self::Mosquitto,
        Self::Postgresql,
        Self::Openvpn,
    ];

    /// Its word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Apache => "apache",
            Self::Envoy => "envoy",
            Self::Node => "node",
            Self::NodeRequests => "requests-node",
            Self::Caddy => "caddy",
            Self::AwsAlb => "aws-alb",
            Self::AwsApiGateway => "aws-api-gateway",
            Self::Freeradius => "freeradius",
            Self::Mosquitto => "mosquitto",
            Self::Postgresql => "postgresql",
            Self::Openvpn => "openvpn",
        }
    }

    /// Whether one configuration has room for several hosts.
    pub fn takes_several_hosts(self) -> bool {
        match self {
            Self::Nginx
            | Self::Haproxy
            | Self::Apache
            | Self::Envoy
            | Self::Node
            | Self::NodeRequests
            | Self::Caddy => true,
            Self::AwsAlb | Self::AwsApiGateway => false,
            Self::Freeradius | Self::Mosquitto | Self::Postgresql | Self::Openvpn => false,
        }
    }

    /// The flags of `pki config` that have no meaning for this kind of server. Other kinds than web servers
    /// have no application behind them, and none of those uses the servers' half.
    pub fn meaningless_flags(self) -> &'static [&'static str] {
        match self {
            Self::Nginx | Self::Haproxy | Self::Apache | Self::Envoy | Self::Node | Self::Caddy => &[],
            // What ends TLS is in front of it, and its port is that one's.
            Self::NodeRequests => &["--cert", "--key", "--public", "--upstream"],
            Self::AwsAlb | Self::AwsApiGateway => &[],
            // They listen where another of their files says.
            Self::Freeradius | Self::Postgresql => &["--port", "--server-dir", "--upstream"],
            Self::Mosquitto | Self::Openvpn => &["--server-dir", "--upstream"],
        }
    }

    /// The port that it listens on by default.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Nginx
            | Self::Haproxy
            | Self::Apache
            | Self::Envoy
            | Self::Node
            | Self::NodeRequests
            | Self::Caddy => 443,
            Self::AwsAlb | Self::AwsApiGateway => 443,
            Self::Freeradius => 1812,
            Self::Mosquitto => 8883,
            Self::Postgresql => 5432,
            Self::Openvpn => 1194,
        }
    }

    /// Whether there is a useful setting that can be given only once for all hosts.
    pub fn has_shared_part(self) -> bool {
        match self {
            Self::Nginx => true,
            Self::Haproxy | Self::Apache | Self::Envoy | Self::Node | Self::NodeRequests | Self::Caddy => {
                false
            }
            Self::AwsAlb | Self::AwsApiGateway => false,
            Self::Freeradius | Self::Mosquitto | Self::Postgresql | Self::Openvpn => false,
        }
    }

    /// The template of its configuration.
    pub fn template(self) -> Template {
        match self {
            Self::Nginx => template!("config/nginx.conf", Nginx),
            Self::Haproxy => template!("config/haproxy.cfg", Haproxy),
            Self::Apache => template!("config/apache.conf", Apache),
            Self::Envoy => template!("config/envoy.yaml", Json),
            Self::Node => template!("config/node.mjs", Json),
            Self::NodeRequests => template!("requests/requests.mjs", Json),
            Self::Caddy => template!("config/Caddyfile", Caddyfile),
            Self::AwsAlb => template!("config/aws-alb.sh", Shell),
            Self::AwsApiGateway => template!("config/aws-api-gateway.mjs", Json),
            Self::Freeradius => template!("config/freeradius.conf", Freeradius),
            Self::Mosquitto => template!("config/mosquitto.conf", Mosquitto),
            Self::Postgresql => template!("config/postgresql.conf", Postgresql),
            Self::Openvpn => template!("config/openvpn.conf", Openvpn),
        }
    }
}

impl PinFormat {
    /// Every form of pins.
    pub const ALL: [Self; 5] = [Self::Android, Self::Ios, Self::Okhttp, Self::Trustkit, Self::Curl];

    /// Its word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Android => "android",
            Self::Ios => "ios",
            Self::Okhttp => "okhttp",
            Self::Trustkit => "trustkit",
            Self::Curl => "curl",
        }
    }

    /// The template of its configuration.
    pub fn template(self) -> Template {
        match self {
            Self::Android => template!("config/android.xml", Xml),
            Self::Ios => template!("config/ios.plist", Xml),
            Self::Okhttp => template!("config/okhttp.kt", Kotlin),
            Self::Trustkit => template!("config/trustkit.plist", Xml),
            Self::Curl => template!("config/curl.sh", Shell),
        }
    }
}

impl AppCode {
    /// All of it.
    pub const ALL: [Self; 6] = [
        Self::VerifyNode,
        Self::VerifyKotlin,
        Self::VerifySwift,
        Self::RequestsJs,
        Self::RequestsKotlin,
        Self::RequestsSwift,
    ];

    /// Its word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::VerifyNode => "verify-node",
            Self::VerifyKotlin => "verify-kotlin",
            Self::VerifySwift => "verify-swift",
            Self::RequestsJs => "requests-js",
            Self::RequestsKotlin => "requests-kotlin",
            Self::RequestsSwift => "requests-swift",
        }
    }

    /// The template of it.
    pub fn template(self) -> Template {
        match self {
            Self::VerifyNode => template!("verify/verify-pins.mjs", Json),
            Self::VerifyKotlin => template!("verify/PinsVerifier.kt", Kotlin),
            Self::VerifySwift => template!("verify/PinsVerifier.swift", Json),
            Self::RequestsJs => template!("requests/sign-requests.mjs", Json),
            Self::RequestsKotlin => template!("requests/RequestSigner.kt", Kotlin),
            Self::RequestsSwift => template!("requests/RequestSigner.swift", Json),
        }
    }
}

impl TimerTarget {
    /// Every kind of timer.
    pub const ALL: [Self; 2] = [Self::Systemd, Self::Cron];

    /// Its word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::Cron => "cron",
        }
    }

    /// The template of its configuration. The units are in a script as they are, and quote their values by
    /// their own rules.
    pub fn template(self) -> Template {
        match self {
            Self::Systemd => template!("config/systemd.sh", Shell),
            Self::Cron => template!("config/cron", Shell),
        }
    }
}

impl Target {
    /// Every recipient, in the order of help.
    pub const ALL: [Self; 26] = [
        Self::Server(ServerTarget::Nginx),
        Self::Server(ServerTarget::Haproxy),
        Self::Server(ServerTarget::Apache),
        Self::Server(ServerTarget::Envoy),
        Self::Server(ServerTarget::Node),
        Self::Server(ServerTarget::NodeRequests),
        Self::Server(ServerTarget::Caddy),
        Self::Server(ServerTarget::AwsAlb),
        Self::Server(ServerTarget::AwsApiGateway),
        Self::Server(ServerTarget::Freeradius),
        Self::Server(ServerTarget::Mosquitto),
        Self::Server(ServerTarget::Postgresql),
        Self::Server(ServerTarget::Openvpn),
        Self::Pins(PinFormat::Android),
        Self::Pins(PinFormat::Ios),
        Self::Pins(PinFormat::Okhttp),
        Self::Pins(PinFormat::Trustkit),
        Self::Pins(PinFormat::Curl),
        Self::App(AppCode::VerifyNode),
        Self::App(AppCode::VerifyKotlin),
        Self::App(AppCode::VerifySwift),
        Self::App(AppCode::RequestsJs),
        Self::App(AppCode::RequestsKotlin),
        Self::App(AppCode::RequestsSwift),
        Self::Timer(TimerTarget::Systemd),
        Self::Timer(TimerTarget::Cron),
    ];

    /// Its word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Server(server) => server.word(),
            Self::Pins(format) => format.word(),
            Self::App(code) => code.word(),
            Self::Timer(timer) => timer.word(),
        }
    }

    /// The template of its configuration.
    pub fn template(self) -> Template {
        match self {
            Self::Server(server) => server.template(),
            Self::Pins(format) => format.template(),
            Self::App(code) => code.template(),
            Self::Timer(timer) => timer.template(),
        }
    }
}

/// The error for a word that is no recipient of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given} is none of {known}")]
pub struct InvalidTarget {
    given: String,
    known: String,
}

impl InvalidTarget {
    fn new(given: &str, known: &[&str]) -> Self {
        Self {
            given: quoted(given),
            known: known.join(", "),
        }
    }
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let word = usual_word(text);
        let found = Self::ALL.into_iter().find(|target| target.word() == word);
        found.ok_or_else(|| InvalidTarget::new(text, &Self::ALL.map(Self::word)))
    }
}

/// The word for what people know a target by: what it is for, or what its package is called.
fn usual_word(text: &str) -> &str {
    match text {
        "apache2" | "httpd" => "apache",
        "nodejs" => "node",
        "wifi" | "wi-fi" | "radius" => "freeradius",
        "mqtt" => "mosquitto",
        "postgres" | "psql" => "postgresql",
        "vpn" => "openvpn",
        word => word,
    }
}

impl FromStr for PinFormat {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let found = Self::ALL.into_iter().find(|format| format.word() == text);
        found.ok_or_else(|| InvalidTarget::new(text, &Self::ALL.map(Self::word)))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_a_word_and_a_template_of_its_own() {
        let mut words: Vec<&str> = Target::ALL.iter().map(|target| target.word()).collect();
        let mut names: Vec<&str> = Target::ALL.iter().map(|target| target.template().name).collect();
        for target in Target::ALL {
            assert_eq!(target.word().parse::<Target>(), Ok(target));
        }
        for list in [&mut words, &mut names] {
            list.sort_unstable();
            list.dedup();
            assert_eq!(
                list.len(),
                ServerTarget::ALL.len() + PinFormat::ALL.len() + AppCode::ALL.len() + TimerTarget::ALL.len()
            );
        }
        for (usual, word) in [
            ("wifi", "freeradius"),
            ("mqtt", "mosquitto"),
            ("vpn", "openvpn"),
            ("psql", "postgresql"),
            ("httpd", "apache"),
        ] {
            assert_eq!(usual.parse::<Target>().map(Target::word), Ok(word));
        }
        assert!(
            "Nginx"
                .parse::<Target>()
                .unwrap_err()
                .to_string()
                .contains("haproxy")
        );
    }
}
