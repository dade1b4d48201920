//! The four examples as programs, and what a person does in them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, io, process};

use example_common::browser::Program;

use crate::chromium::{Browser, Outcome};

/// An example by the name that its pages show, and its program.
#[derive(Clone, Copy)]
pub(crate) struct Example {
    framework: &'static str,
    program: &'static str,
}

pub(crate) const AXUM: Example = Example { framework: "axum", program: env!("CARGO_BIN_EXE_browsed-axum") };
pub(crate) const ACTIX: Example = Example { framework: "actix", program: env!("CARGO_BIN_EXE_browsed-actix") };
pub(crate) const ROCKET: Example = Example { framework: "Rocket", program: env!("CARGO_BIN_EXE_browsed-rocket") };
pub(crate) const WARP: Example = Example { framework: "warp", program: env!("CARGO_BIN_EXE_browsed-warp") };
const FOUR: [Example; 4] = [AXUM, ACTIX, ROCKET, WARP];

/// A folder that goes with this value.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> io::Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("session-browser-{}-{number}", process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left in a folder for temporary things does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running example.
pub(crate) struct Demo {
    pub(crate) framework: &'static str,
    program: Program,
    /// Ends after the program.
    _folder: Option<Folder>,
}

impl Demo {
    /// In a folder of its own.
    pub(crate) fn start(example: Example, variables: &[(&str, &str)]) -> io::Result<Self> {
        let folder = Folder::new()?;
        let demo = Self::start_in(folder.path(), example, variables)?;
        Ok(Self { _folder: Some(folder), ..demo })
    }

    fn start_in(
        folder: &Path,
        Example { framework, program }: Example,
        variables: &[(&str, &str)],
    ) -> io::Result<Self> {
        Ok(Self { framework, program: Program::start(program, folder, variables)?, _folder: None })
    }

    /// All four, each in a folder of its own.
    pub(crate) fn start_all() -> io::Result<Vec<Self>> {
        FOUR.into_iter().map(|example| Self::start(example, &[])).collect()
    }

    /// All four in one folder: they have one store, and one secret.
    pub(crate) fn start_together(folder: &Folder) -> io::Result<Vec<Self>> {
        FOUR.into_iter().map(|example| Self::start_in(folder.path(), example, &[])).collect()
    }

    /// The address of a page at this machine.
    pub(crate) fn at(&self, path: &str) -> String {
        self.at_host("localhost", path)
    }

    /// The same by another name of this machine.
    pub(crate) fn at_host(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.program.address().port())
    }
}

pub(crate) async fn log_in(browser: &Browser, demo: &Demo, name: &str, password: &str) -> Outcome {
    browser.open(&demo.at("/login")).await?;
    browser.fill("#login [name=name]", name).await?;
    browser.fill("#login [name=password]", password).await?;
    browser.click("#login button").await
}

/// What `/increment` counts to.
pub(crate) async fn count(browser: &Browser, demo: &Demo) -> Outcome<String> {
    browser.open(&demo.at("/increment")).await?;
    browser.text(".count").await
}
