//! Servers on loopback that end with their test.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_reuseport;
use rustix::net::{AddressFamily, SocketType, bind, socket};
use rustix::process::{Pid, Signal, kill_process};

use super::home::{Bundle, Home};
use super::program::{Finished, program};

/// The name that the tests' servers have. No name service knows it.
pub const HOST: &str = "api.acme.example";
/// How long a server may take to be ready, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// A port of loopback that nobody listens on at this moment. Who takes it must bear that another was faster.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// A port of loopback that stays a server's while that server is started anew, by a socket that is bound and
/// takes no connection. The server has to bind its own with SO_REUSEPORT.
pub struct HeldPort {
    _socket: OwnedFd,
}

impl HeldPort {
    /// Holds the port of a server that runs.
    pub fn of(port: u16) -> Self {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        set_socket_reuseport(&socket, true).unwrap();
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).unwrap();
        Self { _socket: socket }
    }
}

/// The certificate of a server, self-signed: what its clients trust is not what this product is about.
pub struct ServerCertificate {
    /// Its certificate, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

impl ServerCertificate {
    /// Makes one for [`HOST`].
    pub fn make(home: &Home) -> Self {
        let made = Self {
            certificate: home.path("server.crt"),
            key: home.path("server.key"),
        };
        self_signed(home, "server", &format!("DNS:{HOST}"), 800, &EC);
        made
    }
}

/// How openssl makes a key of P-256.
pub const EC: [&str; 4] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];

/// Makes FILE.crt and FILE.key, for these subject alternative names.
pub fn self_signed(home: &Home, file: &str, names: &str, days: u32, key: &[&str]) {
    let [crt, key_file] = ["crt", "key"].map(|ending| format!("{file}.{ending}"));
    let (names, days) = (format!("subjectAltName={names}"), days.to_string());
    let mut arguments = vec!["req", "-x509", "-noenc", "-subj", "/CN=server", "-addext", &names];
    // As servers' own certificates are: openssl would make it a CA's.
    arguments.extend(["-addext", "basicConstraints=critical,CA:FALSE", "-days", &days]);
    arguments.extend(["-addext", "extendedKeyUsage=serverAuth"]);
    arguments.extend(["-keyout", &key_file, "-out", &crt]);
    arguments.extend(key);
    home.foreign("openssl", &arguments).ok();
}

/// A server that runs until it is dropped.
pub struct Server {
    child: Child,
    /// Its port on 127.0.0.1.
    pub port: u16,
}

impl Server {
    /// Starts a server and waits until `ready` says its port. None: it ended before, and its log may say why.
    ///
    /// # Panics
    /// Where it neither ends nor gets ready.
    pub fn start(command: &mut Command, mut ready: impl FnMut() -> Option<u16>) -> Option<Self> {
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut server = Self { child, port: 0 };
        let ended = wait_until(&format!("{command:?} to be ready"), || {
            if let Some(port) = ready() {
                server.port = port;
                return Some(false);
            }
            server.child.try_wait().unwrap().map(|_| true)
        });
        (!ended).then_some(server)
    }

    /// Starts a server on a port that nobody else has, and waits until it takes connections. None: it ended
    /// each time.
    pub fn on_free_port(mut command: impl FnMut(u16) -> Command) -> Option<Self> {
        // Between the choice of a port and its use another program may take it.
        (0..5).find_map(|_| {
            let port = free_port();
            let ready = || TcpStream::connect(("127.0.0.1", port)).is_ok().then_some(port);
            Self::start(&mut command(port), ready)
        })
    }

    /// Starts a server that chooses its port by itself, and waits until it has written it to this file. None:
    /// it ended before.
    pub fn telling_port(command: &mut Command, file: &Path) -> Option<Self> {
        let _ = std::fs::remove_file(file);
        let told = || std::fs::read_to_string(file).ok()?.parse().ok();
        Self::start(command, told)
    }

    /// Waits until it has started a process of its own. nginx takes signals before that, and follows them
    /// only with the next one.
    pub fn with_workers(self) -> Self {
        let children = format!("/proc/{0}/task/{0}/children", self.pid());
        wait_until("a worker", || {
            let children = std::fs::read_to_string(&children).unwrap();
            (!children.is_empty()).then_some(())
        });
        self
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it SIGHUP.
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// What curl gets with a bundle as its identity: the status, or none where there was no answer, and all
    /// that it said.
    pub fn curl(&self, home: &Home, bundle: Option<&Bundle>, path: &str) -> (Option<u16>, Finished) {
        self.curl_with(home, bundle, path, "")
    }

    /// As [`Self::curl`], with more lines of curl's configuration.
    pub fn curl_with(
        &self,
        home: &Home,
        bundle: Option<&Bundle>,
        path: &str,
        more: &str,
    ) -> (Option<u16>, Finished) {
        let port = self.port;
        let mut config = format!(
            "url = \"https://{HOST}:{port}{path}\"\nresolve = \"{HOST}:{port}:127.0.0.1\"\nnoproxy = \"*\"\n\
             cacert = \"server.crt\"\nsilent\nshow-error\nmax-time = 30\nwrite-out = \"\\n%{{http_code}}\"\n",
        );
        config.push_str(more);
        if let Some(bundle) = bundle {
            let (p12, passphrase) = (bundle.p12.display(), bundle.passphrase());
            config.push_str(&format!(
                "cert-type = \"P12\"\ncert = \"{p12}\"\npass = \"{passphrase}\"\n"
            ));
        }
        let finished = home.foreign_given("curl", &["--disable", "--config", "-"], config.as_bytes());
        let status = finished
            .stdout
            .lines()
            .last()
            .and_then(|line| line.parse().ok())
            .filter(|status| *status != 0);
        (status, finished)
    }

    /// # Panics
    /// Where it does not answer a device with this bundle by 200.
    pub fn lets_in(&self, home: &Home, bundle: &Bundle) {
        let (status, said) = self.curl(home, Some(bundle), "/");
        assert_eq!(status, Some(200), "{said}");
    }
}

impl Server {
    /// Ends it, and waits until it has ended.
    pub fn end(&mut self) {
        // A server that is asked ends its workers, too. One that does not hear is not asked twice. What fails
        // here has ended.
        let ended = |child: &mut Child| child.try_wait().is_ok_and(|status| status.is_some());
        if !ended(&mut self.child) && kill_process(Pid::from_child(&self.child), Signal::TERM).is_ok() {
            let deadline = Instant::now() + Duration::from_secs(5);
            while Instant::now() < deadline && !ended(&mut self.child) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        if !ended(&mut self.child) && self.child.kill().is_ok() {
            let _ = self.child.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Asks until there is an answer.
///
/// # Panics
/// Where there is none after a long while.
pub fn wait_until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
