//! HCOMPRESS_1: White's H-transform, its coefficients coded bit plane by bit plane as quadtrees.
//!
//! FITS standard 4.0, section 10.4.4; White, Postman & Lattanzi 1992 (Proc. Digitised Optical Sky Surveys, 167). The stream
//! begins with the magic, the sizes (slow axis first), the scale, the sum of all pixels and the number of bit planes of the
//! three kinds of quadrant; then the planes of the four quadrants, then the signs of what is not zero.

/// Decodes a tile; its sizes must multiply to `count`.
pub fn decode(bytes: &[u8], count: usize) -> Result<Vec<i32>, String> {
    let short = || "HCOMPRESS_1 data are cut off".to_owned();
    let (head, body) = bytes.split_at_checked(25).ok_or_else(short)?;
    if head[..2] != [0xdd, 0x99] {
        return Err("HCOMPRESS_1 data without their magic".into());
    }
    let word = |at: usize| i32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let sizes = [word(2), word(6)].map(|size| usize::try_from(size).unwrap_or(0));
    let scale = i64::from(word(10));
    let sum = i64::from_be_bytes([14, 15, 16, 17, 18, 19, 20, 21].map(|at| head[at]));
    let [slow, fast] = sizes;
    if slow == 0 || fast == 0 || slow.checked_mul(fast) != Some(count) {
        return Err(format!("HCOMPRESS_1 data of {fast} x {slow} pixels in a tile of {count}"));
    }
    let planes = [head[22], head[23], head[24]];
    if planes.iter().any(|&count| count > 60) {
        return Err(format!("HCOMPRESS_1 data with {planes:?} bit planes"));
    }
    let mut grid = Grid { slow, fast, values: vec![0; count] };
    let mut bits = Bits { bytes: body, at: 0, held: 0, count: 0, missing: false };
    grid.read_quadrants(&mut bits, planes)?;
    grid.read_signs(&mut bits);
    if bits.missing {
        return Err(short());
    }
    grid.values[0] = sum;
    if scale > 1 {
        grid.values.iter_mut().for_each(|value| *value = value.wrapping_mul(scale));
    }
    grid.invert();
    Ok(grid.values.into_iter().map(|value| value as i32).collect())
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    held: u32,
    count: u32,
    missing: bool,
}

impl Bits<'_> {
    fn take(&mut self, bits: u32) -> u32 {
        while self.count < bits {
            let byte = self.bytes.get(self.at).copied();
            self.missing |= byte.is_none();
            self.held = self.held << 8 | u32::from(byte.unwrap_or(0));
            self.at += 1;
            self.count += 8;
        }
        self.count -= bits;
        self.held >> self.count & ((1 << bits) - 1)
    }

    /// One of the sixteen patterns of a 2 x 2 square; frequent ones are short.
    fn pattern(&mut self) -> u8 {
        const FIVE: [(u32, u8); 5] = [(0b01000, 3), (0b01001, 5), (0b01010, 10), (0b01011, 12), (0b01100, 15)];
        let mut code = self.take(3);
        if code < 4 {
            return 1 << code;
        }
        // four bits 8 to 12, five bits 26 to 30, six bits 62 and 63
        code = code << 1 | self.take(1);
        if let Some((_, pattern)) = FIVE.iter().find(|(found, _)| *found == code) {
            return *pattern;
        }
        code = code << 1 | self.take(1);
        match code {
            26 => return 6,
            27 => return 7,
            28 => return 9,
            29 => return 11,
            30 => return 13,
            _ => {}
        }
        code = code << 1 | self.take(1);
        if code == 62 { 0 } else { 14 }
    }

    fn realign(&mut self) {
        self.count = 0;
    }
}

/// Coefficients, later pixels: `values[slow index * fast + fast index]`.
struct Grid {
    slow: usize,
    fast: usize,
    values: Vec<i64>,
}

/// The smallest n with 2^n >= size.
fn levels(size: usize) -> u32 {
    size.next_power_of_two().trailing_zeros()
}

impl Grid {
    fn read_quadrants(&mut self, bits: &mut Bits<'_>, planes: [u8; 3]) -> Result<(), String> {
        let (slow, fast) = (self.slow, self.fast);
        let (half_slow, half_fast) = (slow.div_ceil(2), fast.div_ceil(2));
        self.read_quadrant(bits, 0, half_slow, half_fast, planes[0])?;
        self.read_quadrant(bits, half_fast, half_slow, fast / 2, planes[1])?;
        self.read_quadrant(bits, fast * half_slow, slow / 2, half_fast, planes[1])?;
        self.read_quadrant(bits, fast * half_slow + half_fast, slow / 2, fast / 2, planes[2])?;
        if bits.take(4) != 0 {
            return Err("HCOMPRESS_1 data: the bit planes do not end where they should".into());
        }
        bits.realign();
        Ok(())
    }

    fn read_quadrant(&mut self, bits: &mut Bits<'_>, start: usize, rows: usize, columns: usize, planes: u8) -> Result<(), String> {
        for plane in (0..planes).rev() {
            let cells = match bits.take(4) {
                0 => (0..rows.div_ceil(2) * columns.div_ceil(2)).map(|_| bits.take(4) as u8).collect(),
                0xf => quadtree(bits, rows, columns),
                other => return Err(format!("HCOMPRESS_1 data: bit plane coded as {other}")),
            };
            if bits.missing {
                return Err("HCOMPRESS_1 data are cut off".into());
            }
            self.insert(&cells, start, rows, columns, plane);
        }
        Ok(())
    }

    /// Puts the bits of 2 x 2 squares where they belong.
    fn insert(&mut self, cells: &[u8], start: usize, rows: usize, columns: usize, plane: u8) {
        let width = columns.div_ceil(2);
        for (at, &cell) in cells.iter().enumerate().filter(|(_, cell)| **cell != 0) {
            for (bit, row, column) in corners(at / width, at % width) {
                if cell & bit != 0 && row < rows && column < columns {
                    self.values[start + row * self.fast + column] |= 1 << plane;
                }
            }
        }
    }

    fn read_signs(&mut self, bits: &mut Bits<'_>) {
        for value in self.values.iter_mut().filter(|value| **value != 0) {
            if bits.take(1) == 1 {
                *value = -*value;
            }
        }
    }

    /// The inverse H-transform, from the coarsest level on. Differences were rounded to even multiples of the level's step
    /// on the way in; the low bits that they share with the sums are taken back here.
    fn invert(&mut self) {
        let levels = levels(self.slow.max(self.fast));
        if levels == 0 {
            return;
        }
        let mut step: i64 = 1 << (levels - 1);
        self.values[0] = rounded(self.values[0], step << 2);
        for level in (0..levels).rev() {
            let rows = self.slow.div_ceil(1 << level);
            let columns = self.fast.div_ceil(1 << level);
            self.interleave(rows, columns);
            let shift = if level == 0 { 2 } else { 1 };
            for row in (0..rows).step_by(2) {
                for column in (0..columns).step_by(2) {
                    self.square(row, column, row + 1 < rows, column + 1 < columns, step, shift);
                }
            }
            step >>= 1;
        }
    }

    /// Undoes one level for one square of sum, differences along both axes and across.
    fn square(&mut self, row: usize, column: usize, has_row: bool, has_column: bool, step: i64, shift: u32) {
        let at = row * self.fast + column;
        let (right, below, across) = (at + 1, at + self.fast, at + self.fast + 1);
        let twice = step << 1;
        let sum = self.values[at];
        match (has_row, has_column) {
            (true, true) => {
                let (hx, hy) = (rounded(self.values[below], twice), rounded(self.values[right], twice));
                let hc = rounded(self.values[across], step);
                let low = hc & step;
                let back = |value: i64| if value >= 0 { value.wrapping_sub(low) } else { value.wrapping_add(low) };
                let (hx, hy) = (back(hx), back(hy));
                let lower = (hc ^ hx ^ hy) & twice;
                let sum = match (sum >= 0, low) {
                    (true, _) => sum.wrapping_add(low).wrapping_sub(lower),
                    (false, 0) => sum.wrapping_add(lower),
                    (false, _) => sum.wrapping_add(low).wrapping_sub(lower),
                };
                let add = |signs: [i64; 3]| {
                    let terms =
                        [hx, hy, hc].into_iter().zip(signs).fold(sum, |total, (term, sign)| total.wrapping_add(term.wrapping_mul(sign)));
                    terms >> shift
                };
                self.values[across] = add([1, 1, 1]);
                self.values[below] = add([1, -1, -1]);
                self.values[right] = add([-1, 1, -1]);
                self.values[at] = add([-1, -1, 1]);
            }
            (true, false) => self.pair(at, below, twice, shift),
            (false, true) => self.pair(at, right, twice, shift),
            (false, false) => self.values[at] >>= shift,
        }
    }

    /// A square that the edge cuts to two.
    fn pair(&mut self, at: usize, other: usize, twice: i64, shift: u32) {
        let (sum, difference) = (self.values[at], rounded(self.values[other], twice));
        let low = difference & twice;
        let sum = if sum >= 0 { sum.wrapping_sub(low) } else { sum.wrapping_add(low) };
        self.values[other] = sum.wrapping_add(difference) >> shift;
        self.values[at] = sum.wrapping_sub(difference) >> shift;
    }

    /// Sums and differences stand in halves of each axis; they come to even and odd places.
    fn interleave(&mut self, rows: usize, columns: usize) {
        let mut line = vec![0; rows.max(columns)];
        let mut spread = |values: &mut [i64], start: usize, stride: usize, length: usize| {
            let half = length.div_ceil(2);
            for (k, slot) in line[..length].iter_mut().enumerate() {
                *slot = values[start + stride * if k % 2 == 0 { k / 2 } else { half + k / 2 }];
            }
            for (k, value) in line[..length].iter().enumerate() {
                values[start + stride * k] = *value;
            }
        };
        for row in 0..rows {
            spread(&mut self.values, row * self.fast, 1, columns);
        }
        for column in 0..columns {
            spread(&mut self.values, column, self.fast, rows);
        }
    }
}

/// To the next multiple of a step (a power of two), halves away from zero.
fn rounded(value: i64, step: i64) -> i64 {
    if step == 1 {
        return value;
    }
    let half = step >> 1;
    let shift = if value >= 0 { half } else { half - 1 };
    value.wrapping_add(shift) & -step
}

/// The four places of a square's bits, from the highest bit on.
fn corners(row: usize, column: usize) -> [(u8, usize, usize); 4] {
    let (row, column) = (2 * row, 2 * column);
    [(8, row, column), (4, row, column + 1), (2, row + 1, column), (1, row + 1, column + 1)]
}

/// The squares of one bit plane: level by level, each square that is not empty is told in four.
fn quadtree(bits: &mut Bits<'_>, rows: usize, columns: usize) -> Vec<u8> {
    let depth = levels(rows.max(columns));
    let mut cells = vec![bits.pattern()];
    let mut width = 1;
    for level in (1..depth).rev() {
        let (next_rows, next_width) = (rows.div_ceil(1 << level), columns.div_ceil(1 << level));
        let mut next = vec![0_u8; next_rows * next_width];
        for (at, &cell) in cells.iter().enumerate() {
            for (bit, row, column) in corners(at / width, at % width) {
                if cell & bit != 0 && row < next_rows && column < next_width {
                    next[row * next_width + column] = 1;
                }
            }
        }
        // the stream tells them from the last to the first
        for cell in next.iter_mut().rev().filter(|cell| **cell != 0) {
            *cell = bits.pattern();
        }
        (cells, width) = (next, next_width);
    }
    cells
}
