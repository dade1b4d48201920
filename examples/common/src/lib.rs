//! What the four example applications share, so that each `main.rs` shows its framework and the library, and nothing else:
//! the pages, the people and their passwords, the look at both sides of a session, and how the program starts.
//!
//! ```
//! let (demo, _) = example_common::visit();
//! assert!(demo.missing().contains("Sessions on"));
//! ```

mod words;

mod start;

mod people;

mod setup;

mod agents;
mod goods;
mod values;

mod sides;
mod templates;

mod pages;

pub mod acceptance;
pub mod browser;

pub use crate::agents::device_name;
pub use crate::goods::{MOST_OF_ONE, is_sold, name_of};
pub use crate::pages::{Demo, visit};
pub use crate::people::{People, unfit};
pub use crate::setup::Setup;
pub use crate::start::{Failure, address, unavailable};
pub use crate::values::{COUNTER, SENT, refusal, too_many};
