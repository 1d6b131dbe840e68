//! A real browser, driven by WebDriver (W3C) as somebody would who has a keyboard and no mouse.

use std::path::PathBuf;
use std::process::Stdio;

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::support::{HOST, Home, Server, program};

/// What a test of the page needs.
pub const TOOLS: [&str; 4] = ["curl", "openssl", "chromium", "chromedriver"];
/// The key that goes to the next element (WebDriver §17.4.2).
pub const TAB: &str = "\u{E004}";
/// The key that presses a button.
pub const ENTER: &str = "\u{E007}";

/// How browsers call themselves (User-Agent), by the system that the page takes them for.
pub const AGENTS: [(&str, &str); 5] = [
    (
        "iphone",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
         Version/18.1 Mobile/15E148 Safari/604.1",
    ),
    (
        "android",
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile \
         Safari/537.36",
    ),
    (
        "mac",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
         Version/18.1 Safari/605.1.15",
    ),
    (
        "windows",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 \
         Safari/537.36",
    ),
    (
        "linux",
        "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
    ),
];

/// A browser that is gone when it is dropped.
pub struct Browser<'a> {
    home: &'a Home,
    driver: Server,
    session: String,
}

impl<'a> Browser<'a> {
    /// Starts one of this width, which finds the tests' host on this machine.
    pub fn start(home: &'a Home, width: u32, more: &[String]) -> Self {
        let driver = Server::on_free_port(|port| {
            let mut command = program("chromedriver");
            command.arg(format!("--port={port}")).stdout(Stdio::null());
            command
        });
        let mut browser = Self {
            home,
            driver: driver.expect("chromedriver ended at once"),
            session: String::new(),
        };
        let mut arguments = vec![
            "--headless=new".to_owned(),
            "--no-sandbox".into(),
            "--disable-gpu".into(),
            "--disable-dev-shm-usage".into(),
            format!("--window-size={width},900"),
            format!("--host-resolver-rules=MAP {HOST} 127.0.0.1"),
            format!("--user-data-dir={}", home.path("profile").display()),
        ];
        arguments.extend(more.iter().cloned());
        let downloads = home.path("downloads");
        std::fs::create_dir_all(&downloads).unwrap();
        let options = json!({
            "args": arguments,
            "prefs": { "download.default_directory": downloads, "download.prompt_for_download": false },
        });
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome", "acceptInsecureCerts": true, "goog:chromeOptions": options,
        } } });
        let said = browser.send("POST", "session", &wanted);
        browser.session = format!(
            "session/{}",
            said["sessionId"].as_str().unwrap_or_else(|| panic!("{said}"))
        );
        browser
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        let url = format!("http://127.0.0.1:{}/{path}", self.driver.port);
        let mut arguments = vec![
            "--disable",
            "--silent",
            "--max-time",
            "60",
            "--noproxy",
            "*",
            "--request",
            method,
        ];
        let body = body.to_string();
        if method == "POST" {
            arguments.extend([
                "--header",
                "Content-Type: application/json",
                "--data-binary",
                "@-",
            ]);
        }
        arguments.push(&url);
        let said = self.home.foreign_given("curl", &arguments, body.as_bytes()).ok();
        let said: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{said}"));
        said["value"].clone()
    }

    /// What WebDriver answers to a command of this session.
    pub fn ask(&self, path: &str, body: &Value) -> Value {
        self.send("POST", &format!("{}/{path}", self.session), body)
    }

    /// Goes to an address.
    pub fn open(&self, link: &str) {
        self.ask("url", &json!({ "url": link }));
    }

    /// What a script in the page gives.
    pub fn run(&self, script: &str) -> Value {
        self.ask("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// A command of Chromium's own (the DevTools protocol).
    pub fn chromium(&self, command: &str, parameters: Value) -> Value {
        self.ask(
            "goog/cdp/execute",
            &json!({ "cmd": command, "params": parameters }),
        )
    }

    /// Says from now on that it is this one (User-Agent).
    pub fn is_called(&self, agent: &str) {
        self.chromium("Emulation.setUserAgentOverride", json!({ "userAgent": agent }));
    }

    /// Has from now on a screen of this width, and this scheme of colours: `light` or `dark`.
    pub fn has_screen(&self, width: u32, scheme: &str) {
        let screen = json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false });
        self.chromium("Emulation.setDeviceMetricsOverride", screen);
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.chromium("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// A picture of the whole page, kept as [`keep_picture`] does.
    pub fn keep_screenshot(&self, name: &str) {
        if wants_pictures().is_none() {
            return;
        }
        let whole = json!({ "captureBeyondViewport": true });
        let said = self.chromium("Page.captureScreenshot", whole);
        keep_picture(
            name,
            &BASE64.decode(said["data"].as_str().unwrap().as_bytes()).unwrap(),
        );
    }

    /// Presses a key.
    pub fn press(&self, key: &str) {
        let actions = [
            json!({ "type": "keyDown", "value": key }),
            json!({ "type": "keyUp", "value": key }),
        ];
        let keys = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": actions }] });
        self.ask("actions", &keys);
    }

    /// Goes to the next element by the keyboard until this one has the focus.
    pub fn tab_to(&self, id: &str) {
        for _ in 0..10 {
            self.press(TAB);
            if self.run("return document.activeElement.id") == id {
                return;
            }
        }
        panic!("{id} is not reached by the keyboard");
    }

    /// Whether somebody sees this element.
    pub fn is_shown(&self, id: &str) -> bool {
        self.run(&format!(
            "return document.getElementById('{id}').checkVisibility()"
        )) == true
    }

    /// What stands in this element.
    pub fn text(&self, id: &str) -> String {
        let text = self.run(&format!("return document.getElementById('{id}').textContent"));
        text.as_str().unwrap().to_owned()
    }
}

/// Where pictures go that people have asked for: `SCREENSHOTS=DIR`.
fn wants_pictures() -> Option<PathBuf> {
    let directory = std::env::var_os("SCREENSHOTS").filter(|value| !value.is_empty());
    directory.map(PathBuf::from)
}

/// Keeps a picture for people to look at, where they have asked for it.
pub fn keep_picture(name: &str, png: &[u8]) {
    if let Some(directory) = wants_pictures() {
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(format!("{name}.png")), png).unwrap();
    }
}

impl Drop for Browser<'_> {
    fn drop(&mut self) {
        self.send("DELETE", &self.session, &Value::Null);
    }
}
