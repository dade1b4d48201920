//! Chromium, driven by chromedriver.

use std::error::Error;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use fantoccini::error::CmdError;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use url::{ParseError, Url};

use crate::demos::Folder;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Longer than a slow machine needs for a page.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a test needs to be alone with the pages: no window, no network of its own, nothing from earlier runs.
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
];

/// Runs a test with a chromedriver of its own, or says aloud that it can't.
///
/// # Panics
/// If the test fails, or if Chromium is missing and the variable `CI` is set.
pub(crate) fn with_chromium(test: impl AsyncFnOnce(&Driver) -> Outcome) {
    let (Some(chromium), Some(chromedriver)) = (find("chromium"), find("chromedriver")) else {
        let test = thread::current().name().unwrap_or("main").to_owned();
        let sentence = format!(
            "NOT TESTED: {test}, because it needs chromium and chromedriver (packages chromium and chromium-driver)"
        );
        assert!(env::var_os("CI").is_none(), "{sentence}");
        // Not by a macro: the test harness would keep it to itself as long as the test passes.
        let _ = writeln!(io::stderr(), "\n{sentence}\n");
        return;
    };
    // One after the other: a browser needs a machine for itself.
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let driver = Driver::start(chromium, &chromedriver, turn).expect("chromedriver starts");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(test(&driver)).expect("the pages and the browser do as they should");
}

fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// A running chromedriver. It ends its browsers, and itself, when this is dropped.
pub(crate) struct Driver {
    child: Child,
    port: u16,
    chromium: PathBuf,
    profiles: Folder,
    _turn: MutexGuard<'static, ()>,
}

impl Driver {
    fn start(chromium: PathBuf, chromedriver: &Path, turn: MutexGuard<'static, ()>) -> io::Result<Self> {
        let profiles = Folder::new()?;
        let mut command = Command::new(chromedriver);
        let mut child = command.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let stdout = child.stdout.take();
        // From here on, whatever happens ends the child.
        let mut driver = Self { child, port: 0, chromium, profiles, _turn: turn };
        let mut lines = stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines()).map_while(Result::ok);
        let port =
            lines.find_map(|line| line.rsplit_once("successfully on port ")?.1.trim_end_matches('.').parse().ok());
        driver.port = port.ok_or_else(|| io::Error::other("chromedriver says no port"))?;
        thread::spawn(move || lines.count());
        Ok(driver)
    }

    /// A new browser with an empty profile of its own.
    pub(crate) async fn browser(&self) -> Outcome<Browser> {
        let profile = fs::read_dir(self.profiles.path())?.count().to_string();
        self.browser_of(&profile, &[]).await
    }

    /// A browser with the profile of that name, and further flags.
    pub(crate) async fn browser_of(&self, profile: &str, flags: &[&str]) -> Outcome<Browser> {
        let profile = self.profiles.path().join(profile);
        fs::create_dir_all(&profile)?;
        let profile = format!("--user-data-dir={}", profile.display());
        let flags: Vec<_> = FLAGS.into_iter().chain(flags.iter().copied()).chain([profile.as_str()]).collect();
        let options = json!({ "goog:chromeOptions": { "binary": self.chromium, "args": flags } });
        let Value::Object(options) = options else { return Err("options are an object".into()) };
        let capabilities: Capabilities = options;
        let url = format!("http://127.0.0.1:{}", self.port);
        let client = ClientBuilder::new(HttpConnector::new()).capabilities(capabilities).connect(&url).await?;
        Ok(Browser { client })
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // It closes what a test that failed left open. Whatever goes wrong, the kill below ends it.
        let _ = shutdown(self.port);
        let patience = Instant::now() + Duration::from_secs(10);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < patience {
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn shutdown(port: u16) -> io::Result<usize> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(b"GET /shutdown HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")?;
    stream.read(&mut [0; 16])
}

/// One browser with one window.
pub(crate) struct Browser {
    client: Client,
}

impl Browser {
    pub(crate) async fn open(&self, url: &str) -> Outcome {
        Ok(self.client.goto(url).await?)
    }

    /// The way back in the window's history.
    pub(crate) async fn back(&self) -> Outcome {
        Ok(self.client.back().await?)
    }

    pub(crate) async fn fill(&self, field: &str, text: &str) -> Outcome {
        let field = self.client.find(Locator::Css(field)).await?;
        field.clear().await?;
        Ok(field.send_keys(text).await?)
    }

    /// Clicks what leads to another page, and waits for it.
    pub(crate) async fn click(&self, what: &str) -> Outcome {
        self.script("window.left = true").await?;
        self.client.find(Locator::Css(what)).await?.click().await?;
        let patience = Instant::now() + PATIENCE;
        // Between two pages there is no script to run.
        while !matches!(
            self.script("return window.left === undefined && document.readyState === 'complete'").await,
            Ok(Value::Bool(true))
        ) {
            if Instant::now() > patience {
                return Err(format!("a click on {what} leads nowhere").into());
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        Ok(())
    }

    /// The text of the first element of that kind, as a person reads it.
    pub(crate) async fn text(&self, of: &str) -> Outcome<String> {
        Ok(self.client.find(Locator::Css(of)).await?.text().await?)
    }

    /// What a person reads of the page.
    pub(crate) async fn page(&self) -> Outcome<String> {
        self.text("body").await
    }

    pub(crate) async fn url(&self) -> Outcome<Url> {
        Ok(self.client.current_url().await?)
    }

    /// Runs a script in the page, as one that was injected there would.
    pub(crate) async fn script(&self, script: &str) -> Outcome<Value> {
        Ok(self.client.execute(script, Vec::new()).await?)
    }

    /// The cookies that the browser would send to this page, with all that it keeps of them.
    pub(crate) async fn cookies(&self) -> Outcome<Vec<Value>> {
        let cookies = self.client.issue_cmd(Wire { path: "cookie", body: None }).await?;
        Ok(cookies.as_array().cloned().unwrap_or_default())
    }

    /// The only one.
    pub(crate) async fn cookie(&self) -> Outcome<Value> {
        match &self.cookies().await?[..] {
            [cookie] => Ok(cookie.clone()),
            cookies => Err(format!("not one cookie: {cookies:?}").into()),
        }
    }

    /// A command of the DevTools protocol, where WebDriver has none.
    pub(crate) async fn devtools(&self, command: &str, parameters: Value) -> Outcome<Value> {
        let body = json!({ "cmd": command, "params": parameters });
        Ok(self.client.issue_cmd(Wire { path: "goog/cdp/execute", body: Some(body.to_string()) }).await?)
    }

    /// Makes the window so wide, and as tall as the page is.
    pub(crate) async fn fit(&self, width: u32) -> Outcome {
        for height in [600, 0] {
            let tall = self.script("return document.documentElement.scrollHeight").await?;
            let height = if height == 0 { tall } else { height.into() };
            let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
            self.devtools("Emulation.setDeviceMetricsOverride", metrics).await?;
        }
        Ok(())
    }

    /// Keeps a picture of the window in `target/screenshots`, and gives it back.
    pub(crate) async fn screenshot(&self, name: &str) -> Outcome<Vec<u8>> {
        let png = self.client.screenshot().await?;
        fs::write(screenshots()?.join(format!("{name}.png")), &png)?;
        Ok(png)
    }

    /// Closes the browser, as a person does.
    pub(crate) async fn close(self) -> Outcome {
        Ok(self.client.close().await?)
    }

    /// The page as the browser got it.
    pub(crate) async fn html(&self) -> Outcome<String> {
        Ok(self.client.source().await?)
    }
}

/// Where pictures are kept.
pub(crate) fn screenshots() -> Outcome<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../screenshots");
    fs::create_dir_all(&folder)?;
    Ok(folder.canonicalize()?)
}

/// A command for which the client has no method.
#[derive(Debug)]
struct Wire {
    path: &'static str,
    body: Option<String>,
}

impl WebDriverCompatibleCommand for Wire {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        let method = if self.body.is_some() { Method::POST } else { Method::GET };
        (method, self.body.clone())
    }
}

/// What WebDriver answers where there is nothing of that kind.
pub(crate) fn is_missing(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<CmdError>().is_some_and(CmdError::is_no_such_element)
}
