//! The servers: how each is started with what `pki config` prints, and told of a new publication.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::neighbour;
use super::upstream::Upstream;
use crate::support::{
    Bundle, HOST, HeldPort, Home, Server, ServerCertificate, envoy, finish, free_port, is_root, need,
    need_envoy, program, wait_until,
};

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Nginx,
    Haproxy,
    Apache,
    Envoy,
    Node,
    Caddy,
}

/// What else is behind the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    Nothing,
    /// Another server, which nobody asked for by name gets to.
    Neighbour,
}

/// How a server is started.
pub struct Setting<'a> {
    pub beside: Beside,
    /// What an operator has made of the configuration.
    pub edit: &'a dyn Fn(&str) -> String,
    /// The port of an application that is as real as the server.
    pub application: Option<u16>,
    /// Whether Caddy's list is made first.
    pub list_is_made: bool,
}

impl Setting<'_> {
    /// As printed.
    pub const PLAIN: Setting<'static> = Setting {
        beside: Beside::Nothing,
        edit: &str::to_owned,
        application: None,
        list_is_made: true,
    };
}

/// What a server takes up again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resumes {
    Nothing,
    Sessions,
}

impl Kind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Apache => "apache",
            Self::Envoy => "envoy",
            Self::Node => "node",
            Self::Caddy => "caddy",
        }
    }

    /// The directory that the home publishes to.
    pub fn place(self) -> &'static str {
        match self {
            Self::Haproxy => "web",
            Self::Nginx | Self::Apache | Self::Envoy | Self::Node | Self::Caddy => "the \"web\"; #1",
        }
    }

    pub fn is_installed(self) -> bool {
        need(&["curl", "openssl", "timeout", "python3"])
            && match self {
                Self::Nginx => need(&["nginx"]),
                Self::Haproxy => need(&["haproxy"]),
                Self::Apache => need(&["apache2"]),
                Self::Envoy => need_envoy(),
                Self::Node => need(&["node"]),
                Self::Caddy => need(&["caddy", "jq"]),
            }
    }

    /// Caddy goes by its list alone, and says so.
    pub fn reads_crls(self) -> bool {
        match self {
            Self::Nginx | Self::Haproxy | Self::Apache | Self::Envoy | Self::Node => true,
            Self::Caddy => false,
        }
    }

    /// Whether HTTP/2 is offered.
    pub fn speaks_http2(self) -> bool {
        match self {
            Self::Haproxy | Self::Envoy | Self::Caddy => true,
            Self::Nginx | Self::Apache | Self::Node => false,
        }
    }

    /// Caddy has no word for that in its Caddyfile; its list is asked on each request.
    pub fn resumes(self) -> Resumes {
        match self {
            Self::Nginx | Self::Haproxy | Self::Apache | Self::Envoy | Self::Node => Resumes::Nothing,
            Self::Caddy => Resumes::Sessions,
        }
    }
}

/// Has the home publish to a place of its own, which the account of Apache's workers can read, and whose name
/// wants quoting where the server can be told such a name at all.
pub fn publish_outside(kind: Kind, home: &Home) {
    let group = if is_root() { "group = \"www-data\"\n" } else { "" };
    let web = home.path(kind.place());
    std::fs::set_permissions(home.path(""), Permissions::from_mode(0o755)).unwrap();
    home.configure_table(&format!(
        "[[publish]]\npublic = '{0}/public'\nserver = '{0}/server'\n{group}",
        web.display()
    ));
    std::fs::create_dir(&web).unwrap();
    std::fs::set_permissions(&web, Permissions::from_mode(0o755)).unwrap();
    home.run(&["publish"]);
}

/// A server that runs with what `pki config` has printed for it.
pub struct Running {
    pub server: Server,
    kind: Kind,
    upstream: Upstream,
    log: std::path::PathBuf,
    /// Of a server that ends before it begins anew. Nobody else takes the port in between.
    _port: Option<HeldPort>,
}

impl Running {
    pub fn start(kind: Kind, home: &Home) -> Self {
        Self::start_as(kind, home, &Setting::PLAIN)
    }

    pub fn start_beside(kind: Kind, home: &Home, beside: Beside) -> Self {
        let setting = Setting {
            beside,
            ..Setting::PLAIN
        };
        Self::start_as(kind, home, &setting)
    }

    pub fn start_as(kind: Kind, home: &Home, setting: &Setting<'_>) -> Self {
        Self::try_start(kind, home, setting).unwrap_or_else(|| {
            let log = home.path(format!("{}.log", kind.word()));
            panic!(
                "{kind:?} does not start: {}",
                std::fs::read_to_string(log).unwrap()
            )
        })
    }

    /// None: it ends instead of serving anybody.
    pub fn try_start(kind: Kind, home: &Home, setting: &Setting<'_>) -> Option<Self> {
        ServerCertificate::make(home);
        let upstream = Upstream::start();
        let log = home.path(format!("{}.log", kind.word()));
        // Between the choice of a port and its use another program may take it.
        for _ in 0..5 {
            let port = free_port();
            let application = setting.application.unwrap_or(upstream.port);
            prepare(kind, home, port, application, setting);
            if let Some(server) = run(kind, home, port) {
                return Some(Self {
                    _port: (kind == Kind::Envoy).then(|| HeldPort::of(port)),
                    server,
                    kind,
                    upstream,
                    log,
                });
            }
        }
        None
    }

    /// # Panics
    /// Where it does not answer a device with this bundle by 200.
    pub fn lets_in(&self, home: &Home, bundle: &Bundle) {
        let (status, said) = self.server.curl(home, Some(bundle), "/");
        assert_eq!(status, Some(200), "{said}\n{}", self.log());
    }

    /// How many requests have reached the application.
    pub fn served(&self) -> usize {
        self.upstream.served()
    }

    /// Which server it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether the application has been asked anything with these words in it.
    pub fn heard(&self, words: &str) -> bool {
        self.upstream.heard(words)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it has said so.
    pub fn await_log(&self, words: &str) {
        wait_until(words, || self.log().contains(words).then_some(()));
    }

    /// Does what the configuration says is to be done after a publication, and does not wait for what takes
    /// its time.
    pub fn begin_reload(&mut self, home: &Home) {
        match self.kind {
            Kind::Nginx => self.server.signal(Signal::HUP),
            Kind::Haproxy => self.server.signal(Signal::USR2),
            // It loses a second signal while it follows the first.
            Kind::Apache => {
                let before = self.logged(RESUMING);
                self.server.signal(Signal::USR1);
                wait_until(RESUMING, || (self.logged(RESUMING) > before).then_some(()));
            }
            // By itself.
            Kind::Node => {}
            Kind::Envoy => {
                let port = self.server.port;
                self.server.end();
                self.server =
                    run(self.kind, home, port).unwrap_or_else(|| panic!("Envoy ended: {}", self.log()));
            }
            Kind::Caddy => {
                assert!(make_list_for_caddy(home));
                let mut reload = caddy(home, "reload");
                reload.args([
                    "--address",
                    &format!("unix/{}", home.path("caddy.sock").display()),
                ]);
                finish(&mut reload, b"").ok();
            }
        }
    }

    /// As [`begin_reload`](Self::begin_reload), and waits until nothing of before answers any more.
    pub fn reload(&mut self, home: &Home) {
        let gone = "exited with code 0";
        let before = self.logged(gone);
        self.begin_reload(home);
        match self.kind {
            // The old process still answers until the signal has reached it. HAProxy's is gone by itself, not
            // by hard-stop-after.
            Kind::Nginx | Kind::Haproxy => {
                wait_until(gone, || (self.logged(gone) > before).then_some(()));
                assert!(!self.log().contains("hard-stop"), "{}", self.log());
            }
            Kind::Node => self.await_log("publication read"),
            Kind::Apache | Kind::Envoy | Kind::Caddy => {}
        }
    }

    /// How many times these words stand in its log.
    fn logged(&self, words: &str) -> usize {
        self.log().matches(words).count()
    }
}

/// What Apache logs once it has read everything anew.
const RESUMING: &str = "resuming normal operations";

/// Writes the configuration, and what belongs around it on this machine.
fn prepare(kind: Kind, home: &Home, port: u16, upstream: u16, setting: &Setting<'_>) {
    let neighbour = match setting.beside {
        Beside::Nothing => String::new(),
        Beside::Neighbour => neighbour::configuration(kind, port),
    };
    let [crt, key] = ["server.crt", "server.key"].map(|file| home.path(file).display().to_string());
    let [port, upstream] = [port.to_string(), format!("http://127.0.0.1:{upstream}")];
    let mut arguments = vec![
        "config",
        kind.word(),
        HOST,
        "--port",
        &port,
        "--cert",
        &crt,
        "--key",
        &key,
    ];
    arguments.extend(["--upstream", &upstream]);
    let text = (setting.edit)(&home.run(&arguments).stdout);
    put(kind, home, &text, &neighbour);
    if kind == Kind::Caddy && setting.list_is_made {
        assert!(make_list_for_caddy(home));
    }
}

/// Puts a configuration where the server finds it, with what belongs around it on this machine.
pub fn put(kind: Kind, home: &Home, text: &str, neighbour: &str) {
    let place = home.path("").display().to_string();
    let write = |name: &str, text: &str| std::fs::write(home.path(name), text).unwrap();
    match kind {
        Kind::Nginx => {
            let mut around = String::from(
                "daemon off;\nworker_processes 1;\npid nginx.pid;\nerror_log nginx.log info;\nworker_shutdown_timeout 10s;\n",
            );
            around.push_str("events {}\nhttp {\n");
            for temp in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
                around.push_str(&format!("{temp}_temp_path {temp}.temp;\n"));
            }
            write(
                "nginx.conf",
                &format!("{around}{neighbour}include pki.conf;\n}}\n"),
            );
            write("pki.conf", &text.replace("/var/log/nginx/", ""));
        }
        Kind::Haproxy => {
            let own = |line: &&str| is_root() || !["    user haproxy", "    group haproxy"].contains(line);
            write(
                "haproxy.cfg",
                &text
                    .lines()
                    .filter(own)
                    .map(|line| format!("{line}\n"))
                    .collect::<String>(),
            );
        }
        Kind::Apache => {
            let mut around = format!(
                "ServerRoot \"{place}\"\nServerName {HOST}\nPidFile apache.pid\nErrorLog apache.log\n"
            );
            around.push_str(&format!(
                "Define APACHE_LOG_DIR {place}\nDefaultRuntimeDir {place}\n"
            ));
            for module in [
                "mpm_event",
                "authz_core",
                "authz_host",
                "headers",
                "proxy",
                "proxy_http",
                "reqtimeout",
                "rewrite",
                "setenvif",
                "ssl",
            ] {
                around.push_str(&format!(
                    "LoadModule {module}_module /usr/lib/apache2/modules/mod_{module}.so\n"
                ));
            }
            // As on Debian.
            around.push_str("MaxRequestWorkers 150\n");
            if is_root() {
                around.push_str("User www-data\nGroup www-data\n");
            }
            write(
                "apache.conf",
                &format!("{around}{neighbour}Include pki-site.conf\n"),
            );
            write("pki-site.conf", text);
        }
        Kind::Envoy => write("envoy.yaml", text),
        Kind::Node => {
            write("server.mjs", text);
            write("application.mjs", APPLICATION);
        }
        Kind::Caddy => {
            let place = home.path("devices.map").display().to_string();
            let admin = format!(
                "auto_https off\n\tdefault_sni {}\n\tadmin unix/{}",
                neighbour::OTHER,
                home.path("caddy.sock").display()
            );
            let text = text
                .replace("/etc/caddy/devices.map", &place)
                .replacen("auto_https off", &admin, 1);
            write("Caddyfile", &format!("{text}{neighbour}"));
        }
    }
}

/// Starts a server where its configuration has been put. None: it does not start.
pub fn run(kind: Kind, home: &Home, port: u16) -> Option<Server> {
    let mut command = match kind {
        Kind::Nginx => {
            let mut nginx = program("nginx");
            nginx
                .arg("-p")
                .arg(home.path(""))
                .args(["-e", "nginx.log", "-c", "nginx.conf"]);
            nginx
        }
        Kind::Haproxy => {
            let mut haproxy = program("haproxy");
            haproxy.args(["-W", "-f", "haproxy.cfg"]);
            haproxy
        }
        Kind::Apache => {
            let mut apache = program("apache2");
            apache
                .args(["-D", "FOREGROUND", "-f"])
                .arg(home.path("apache.conf"));
            apache
        }
        Kind::Envoy => {
            let mut envoy = envoy();
            envoy.args([
                "-c",
                "envoy.yaml",
                "--disable-hot-restart",
                "--concurrency",
                "1",
                "-l",
                "warning",
            ]);
            envoy
        }
        Kind::Node => {
            let mut node = program("node");
            node.arg("application.mjs").arg(port.to_string());
            node
        }
        Kind::Caddy => caddy(home, "run"),
    };
    let log = File::options()
        .append(true)
        .create(true)
        .open(home.path(format!("{}.log", kind.word())))
        .unwrap();
    command.current_dir(home.path("")).stdin(Stdio::null());
    command.stdout(log.try_clone().unwrap()).stderr(log);
    let ready = || {
        let open = std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        open.then_some(port)
    };
    let server = Server::start(&mut command, ready)?;
    Some(match kind {
        Kind::Nginx => server.with_workers(),
        Kind::Apache | Kind::Haproxy | Kind::Envoy | Kind::Node | Kind::Caddy => server,
    })
}

fn caddy(home: &Home, verb: &str) -> Command {
    let mut caddy = program("caddy");
    caddy
        .args([verb, "--config", "Caddyfile", "--adapter", "caddyfile"])
        .current_dir(home.path(""))
        .env("HOME", home.path(""))
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("XDG_DATA_HOME");
    caddy
}

/// An application that imports the server for Node.js, answers as the others' application does, and is as
/// careless.
const APPLICATION: &str = include_str!("application.mjs");

/// Makes Caddy's list as the comments of its configuration say. False: they fail.
pub fn make_list_for_caddy(home: &Home) -> bool {
    let text = std::fs::read_to_string(home.path("Caddyfile")).unwrap();
    let script: String = text
        .lines()
        .skip_while(|line| !line.contains("jq -r"))
        .take_while(|line| line.starts_with("#     "))
        .map(|line| format!("{}\n", &line[6..]))
        .collect();
    let devices = text
        .lines()
        .find_map(|line| line.strip_prefix("#     DEVICES.JSON is "))
        .unwrap();
    let script = script
        .replace("DEVICES.JSON", devices)
        .replace("/etc/caddy/devices.new", "devices.new")
        .replace("/etc/caddy/devices.txt", "devices.txt")
        .replace("DEVICES.MAP", "devices.map")
        .replace("&& systemctl reload caddy", "");
    assert!(script.contains("mv devices.new devices.map"), "{script}");
    home.foreign("sh", &["-c", &script]).code == Some(0)
}
