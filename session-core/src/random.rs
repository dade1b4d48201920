//! Randomness as an argument: the operating system's by default, a failing one in a test.

use std::error::Error as StdError;

use rand::TryRng;
use rand::rngs::SysRng;

/// Where ids and nonces come from. An implementation must be cryptographically secure: whoever can
/// predict it can log in as anybody.
///
/// ```
/// use session_core::{OsRandom, Random};
///
/// let (mut a, mut b) = ([0; 32], [0; 32]);
/// OsRandom.fill(&mut a)?;
/// OsRandom.fill(&mut b)?;
/// assert_ne!(a, b);
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
pub trait Random: Send + Sync + 'static {
    /// Fills `bytes` completely.
    ///
    /// # Errors
    /// When the source has no randomness to give. There is no fallback: no id is better than a weak one.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), Box<dyn StdError + Send + Sync>>;
}

/// The operating system's generator, without any state of our own that a fork could copy.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), Box<dyn StdError + Send + Sync>> {
        SysRng.try_fill_bytes(bytes).map_err(Into::into)
    }
}
