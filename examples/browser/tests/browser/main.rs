//! The four examples in a real Chromium: what a browser keeps, sends and forgets is for no other program to say.
//!
//! Each test starts its own programs, as child processes on free ports of this machine, and ends them. Screenshots are left
//! in `target/screenshots`; `side-by-side.png` has the four beside each other. Without `chromium` and `chromedriver` (the Debian
//! packages `chromium` and `chromium-driver`) the tests say aloud that they did not run; if the variable `CI` is set, they fail.

mod chromium;
mod demos;
mod neighbour;

mod cookies;
mod life;
mod looks;
mod members;
mod sites;
mod visits;
