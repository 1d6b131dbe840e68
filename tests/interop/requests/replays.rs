//! A request is taken once: by one process and by several, also where one device sends more than can be
//! remembered.

use std::process::{Child, Stdio};

use super::Api;
use super::api::{ORIGIN, data, serve, with_devices};
use crate::support::{Home, finish, free_port, need, program, wait_until};

/// Redis, which ends with the test.
struct Redis {
    port: u16,
    process: Child,
}

impl Redis {
    fn start(home: &Home) -> Self {
        let port = free_port();
        let process = program("redis-server")
            .args(["--port", &port.to_string(), "--save", "", "--bind", "127.0.0.1"])
            .current_dir(home.path(""))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("Redis listens", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self { port, process }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What `replays.mjs` says of these ports, one of each process.
fn says(home: &Home, does: &str, ports: &[u16]) -> String {
    std::fs::copy(data("replays.mjs"), home.path("replays.mjs")).unwrap();
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    let mut node = program("node");
    node.args(["replays.mjs", ORIGIN, does]).args(ports);
    finish(node.current_dir(home.path("")), b"").ok().stdout
}

#[test]
fn a_device_that_fills_its_share_waits_and_no_other_one_notices() {
    let Some(home) = with_devices(&[]) else {
        return;
    };
    let api = Api::start(home, "plain", &["20"]);
    let said = says(&api.home, "fill", &[api.port]);
    assert_eq!(
        said,
        "alice: 20 taken, 30 busy\nagain: 401 replayed\nbob: 20 taken, 30 busy\n"
    );
}

#[test]
fn of_two_processes_with_one_memory_one_takes_a_request() {
    for client in ["ioredis", "redis"] {
        let Some(home) = with_devices(&[client]) else {
            return;
        };
        if !need(&["redis-server"]) {
            return;
        }
        let redis = Redis::start(&home);
        let asked = format!("{}:{client}", redis.port);
        let ports = [free_port(), free_port()];
        let _processes = ports.map(|port| serve(&home, "plain", port, ORIGIN, &["20", &asked]));
        let said = says(&home, "both", &ports);
        assert_eq!(said, "one of two took each: 8 of 8\nalice: 12 taken, 38 busy\n");
        // A place that cannot be asked knows of no replay: nothing is taken.
        drop(redis);
        assert_eq!(says(&home, "once", &ports[..1]), "503 unavailable\n");
    }
}
