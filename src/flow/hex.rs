//! Hexadecimal digits that lie in place: a prediction has two of them, and a text of its own for each would be an allocation.

use std::fmt;
use std::ops::Deref;

/// `N` lower-case hexadecimal digits. Reads as a `&str`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hex<const N: usize>([u8; N]);

impl<const N: usize> Hex<N> {
    /// The digits of the first `N / 2` bytes, each byte's high half first; zeros where there are fewer.
    pub fn of(bytes: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut digits = [b'0'; N];
        for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
            *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
        }
        Self(digits)
    }
}

impl<const N: usize> Deref for Hex<N> {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits are ASCII")
    }
}

impl<const N: usize> fmt::Display for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl<const N: usize> fmt::Debug for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_format_writes_them() {
        let number = 0x00ff_1234_89ab_cdef_u64;
        assert_eq!(&*Hex::<16>::of(&number.to_be_bytes()), format!("{number:016x}"));
        assert_eq!(Hex::<4>::of(&number.to_be_bytes()).to_string(), "00ff");
        assert_eq!(Hex::<4>::of(&[1]).to_string(), "0100");
    }
}
