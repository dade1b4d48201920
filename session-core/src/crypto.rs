//! The three primitives everything else is built from, behind the narrowest functions that do.
//!
//! HMAC-SHA-256 (RFC 2104), HKDF-SHA-256 (RFC 5869) and XAES-256-GCM (C2SP), each from RustCrypto. The tests
//! run Wycheproof's and C2SP's vectors through these very functions.

use std::fmt;

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{Aead, Payload};
use aes_gcm::aes::Aes256;
use aes_gcm::aes::cipher::{Array, BlockCipherEncrypt as _};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac as _};
use sha2::Sha256;
use zeroize::Zeroize;

pub(crate) const TAG_LENGTH: usize = 32;

/// HMAC-SHA-256 under one key; what was fed so far can be kept and continued, so a fixed beginning is hashed once.
#[derive(Clone)]
pub(crate) struct Mac(Hmac<Sha256>);

impl Mac {
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(<Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length"))
    }

    #[must_use]
    pub(crate) fn with(mut self, bytes: &[u8]) -> Self {
        self.0.update(bytes);
        self
    }

    pub(crate) fn tag(self) -> [u8; TAG_LENGTH] {
        self.0.finalize().into_bytes().into()
    }

    /// Compares in constant time. A tag of any other length is wrong.
    pub(crate) fn verifies(self, tag: &[u8]) -> bool {
        self.0.verify_slice(tag).is_ok()
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mac(…)")
    }
}

/// HKDF-SHA-256 without salt: one key for one purpose out of the master secret. `output` takes at most 8,160 bytes.
pub(crate) fn derive(master: &[u8], info: &[u8], output: &mut [u8]) {
    Hkdf::<Sha256>::new(None, master).expand(info, output).expect("a key is shorter than 255 hashes");
}

/// AES-256-GCM with a 192-bit nonce: the nonce's first half chooses a key, its second half is GCM's own nonce.
/// Random nonces stay safe for 2^80 messages, where plain GCM has to stop at 2^32.
/// <https://c2sp.org/XAES-256-GCM>
#[derive(Clone)]
pub(crate) struct Xaes {
    cipher: Aes256,
    mask: [u8; 16],
}

impl Xaes {
    pub(crate) const NONCE_LENGTH: usize = 24;

    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let cipher = Aes256::new(key.into());
        let mask = double(encrypt_block(&cipher, [0; 16]));
        Self { cipher, mask }
    }

    pub(crate) fn seal(&self, nonce: [u8; Self::NONCE_LENGTH], message: &[u8], context: &[u8]) -> Vec<u8> {
        let (key, nonce) = self.message_key(nonce);
        key.encrypt((&nonce).into(), Payload { msg: message, aad: context }).expect("a session is shorter than 64 GiB")
    }

    /// The message, or nothing for every kind of mismatch alike.
    pub(crate) fn open(&self, nonce: [u8; Self::NONCE_LENGTH], sealed: &[u8], context: &[u8]) -> Option<Vec<u8>> {
        let (key, nonce) = self.message_key(nonce);
        key.decrypt((&nonce).into(), Payload { msg: sealed, aad: context }).ok()
    }

    /// NIST SP 800-108 in counter mode with CMAC, written out for exactly two blocks of input.
    fn message_key(&self, nonce: [u8; Self::NONCE_LENGTH]) -> (Aes256Gcm, [u8; 12]) {
        let mut key = [0; 32];
        for (counter, half) in (1..).zip(key.chunks_exact_mut(16)) {
            let mut block = [0, counter, b'X', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            block[4..].copy_from_slice(&nonce[..12]);
            block.iter_mut().zip(self.mask).for_each(|(byte, mask)| *byte ^= mask);
            half.copy_from_slice(&encrypt_block(&self.cipher, block));
        }
        let cipher = Aes256Gcm::new((&key).into());
        key.zeroize();
        let mut rest = [0; 12];
        rest.copy_from_slice(&nonce[12..]);
        (cipher, rest)
    }
}

impl Drop for Xaes {
    fn drop(&mut self) {
        self.mask.zeroize();
    }
}

impl fmt::Debug for Xaes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Xaes(…)")
    }
}

fn encrypt_block(cipher: &Aes256, block: [u8; 16]) -> [u8; 16] {
    let mut block = Array::from(block);
    cipher.encrypt_block(&mut block);
    block.into()
}

/// Multiplication by x in GF(2^128), as CMAC derives its subkey (NIST SP 800-38B, 6.1), without a secret branch.
fn double(block: [u8; 16]) -> [u8; 16] {
    let shifted = u128::from_be_bytes(block) << 1;
    let carry = u128::from(block[0] >> 7);
    (shifted ^ (carry * 0x87)).to_be_bytes()
}
