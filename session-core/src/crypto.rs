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
        encrypt(&key, nonce, message, context)
    }

    /// The message, or nothing for every kind of mismatch alike.
    pub(crate) fn open(&self, nonce: [u8; Self::NONCE_LENGTH], sealed: &[u8], context: &[u8]) -> Option<Vec<u8>> {
        let (key, nonce) = self.message_key(nonce);
        decrypt(&key, nonce, sealed, context)
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

/// AES-256-GCM, under a key for one message only.
fn encrypt(key: &Aes256Gcm, nonce: [u8; 12], message: &[u8], context: &[u8]) -> Vec<u8> {
    key.encrypt((&nonce).into(), Payload { msg: message, aad: context }).expect("a session is shorter than 64 GiB")
}

fn decrypt(key: &Aes256Gcm, nonce: [u8; 12], sealed: &[u8], context: &[u8]) -> Option<Vec<u8>> {
    key.decrypt((&nonce).into(), Payload { msg: sealed, aad: context }).ok()
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

#[cfg(test)]
mod tests {
    use shake::digest::{ExtendableOutput as _, Update as _, XofReader as _};
    use shake::{Shake128, Shake128Reader};
    use wycheproof::{TestResult, aead, hkdf, mac};

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn hmac_agrees_with_wycheproof() {
        let set = mac::TestSet::load(mac::TestName::HmacSha256).unwrap();
        let (mut valid, mut invalid) = (0, 0);
        // Our tags are never shortened, so a short one is wrong whatever the vector says of it.
        for group in &set.test_groups {
            for test in &group.tests {
                let fine = test.result == TestResult::Valid && group.tag_size == 256;
                let mac = Mac::new(&test.key).with(&test.msg);
                assert_eq!(mac.clone().verifies(&test.tag), fine, "{}", test.tc_id);
                assert_eq!(mac.tag()[..] == test.tag[..], fine, "{}", test.tc_id);
                let (head, tail) = test.msg.split_at(test.msg.len() / 2);
                assert_eq!(Mac::new(&test.key).with(head).with(tail).verifies(&test.tag), fine, "{}", test.tc_id);
                *if fine { &mut valid } else { &mut invalid } += 1;
            }
        }
        assert_eq!((valid, invalid), (33, 141));
    }

    #[test]
    fn hkdf_agrees_with_wycheproof() {
        let set = hkdf::TestSet::load(hkdf::TestName::HkdfSha256).unwrap();
        let mut count = 0;
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            // We use no salt, and ask for no more than HKDF can give.
            if !test.salt.is_empty() || test.result == TestResult::Invalid {
                continue;
            }
            let mut key = vec![0; test.size];
            derive(&test.ikm, &test.info, &mut key);
            assert_eq!(key, test.okm[..], "{}", test.tc_id);
            count += 1;
        }
        assert_eq!(count, 23);
    }

    #[test]
    fn aes_256_gcm_agrees_with_wycheproof() {
        let set = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
        let (mut valid, mut invalid) = (0, 0);
        for group in &set.test_groups {
            if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
                continue;
            }
            for test in &group.tests {
                let key = Aes256Gcm::new_from_slice(&test.key).unwrap();
                let nonce = <[u8; 12]>::try_from(&test.nonce[..]).unwrap();
                let sealed = [&test.ct[..], &test.tag[..]].concat();
                let fine = test.result == TestResult::Valid;
                let opened = decrypt(&key, nonce, &sealed, &test.aad);
                assert_eq!(opened.as_deref(), fine.then_some(&test.pt[..]), "{}", test.tc_id);
                assert_eq!(encrypt(&key, nonce, &test.pt, &test.aad) == sealed, fine, "{}", test.tc_id);
                *if fine { &mut valid } else { &mut invalid } += 1;
            }
        }
        assert_eq!((valid, invalid), (39, 27));
    }

    #[test]
    fn xaes_agrees_with_c2sp() {
        let nonce = *b"ABCDEFGHIJKLMNOPQRSTUVWX";
        for (key, context, expected) in [
            ([1; 32], "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
            ([3; 32], "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"),
        ] {
            let xaes = Xaes::new(&key);
            let sealed = xaes.seal(nonce, b"XAES-256-GCM", context.as_bytes());
            assert_eq!(hex(&sealed), expected);
            assert_eq!(xaes.open(nonce, &sealed, context.as_bytes()).as_deref(), Some(&b"XAES-256-GCM"[..]));
            assert_eq!(xaes.open(nonce, &sealed, b"another context"), None);
        }
    }

    /// C2SP's accumulated test: keys, nonces, messages and contexts out of one SHAKE128, all results into another.
    #[test]
    fn xaes_agrees_with_c2sp_ten_thousand_times() {
        fn take(source: &mut Shake128Reader, length: usize) -> Vec<u8> {
            let mut bytes = vec![0; length];
            source.read(&mut bytes);
            bytes
        }
        fn take_some(source: &mut Shake128Reader) -> Vec<u8> {
            let length = take(source, 1)[0];
            take(source, length.into())
        }
        let mut source = Shake128::default().finalize_xof();
        let mut results = Shake128::default();
        for _ in 0..10_000 {
            let key = take(&mut source, 32).try_into().unwrap();
            let nonce = take(&mut source, 24).try_into().unwrap();
            let (message, context) = (take_some(&mut source), take_some(&mut source));
            let xaes = Xaes::new(&key);
            let sealed = xaes.seal(nonce, &message, &context);
            assert_eq!(xaes.open(nonce, &sealed, &context), Some(message));
            results.update(&sealed);
        }
        let mut digest = [0; 32];
        results.finalize_xof().read(&mut digest);
        assert_eq!(hex(&digest), "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939");
    }

    #[test]
    fn a_tag_of_another_length_is_wrong() {
        let mac = Mac::new(b"key").with(b"message");
        let tag = mac.clone().tag();
        assert!(mac.clone().verifies(&tag));
        for length in 0..TAG_LENGTH {
            assert!(!mac.clone().verifies(&tag[..length]));
        }
        assert!(!mac.clone().verifies(&[&tag[..], &[0]].concat()));
        assert!(!mac.verifies(&tag.repeat(2)));
    }

    #[test]
    fn nothing_of_a_key_prints() {
        let shown = format!("{:?} {:?}", Mac::new(&[7; 32]), Xaes::new(&[7; 32]));
        assert_eq!(shown, "Mac(…) Xaes(…)");
    }
}
