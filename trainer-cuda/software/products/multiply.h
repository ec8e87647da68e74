// A product of matrices in column-major words: bf16 in, sums in f32, f32 or bf16 out.

#pragma once

#include <cstdint>
#include <tuple>

namespace software {

// A matrix in memory, or a stack of them at a fixed distance.
struct Operand {
    unsigned long long address;
    bool transposed;
    bool half;  // entries of bf16, else floats
    uint64_t rows, cols;
    int64_t pitch;     // entries from one column to the next
    int64_t distance;  // entries from one matrix to the next

    auto key() const { return std::tie(address, transposed, half, rows, cols, pitch, distance); }
};

// d = alpha·a·b + beta·c, for every member of a stack.
struct Multiplication {
    Operand a, b, c, d;
    int members;
    float alpha, beta;

    bool operator<(const Multiplication& other) const {
        const auto key = [](const Multiplication& m) {
            return std::make_tuple(m.a.key(), m.b.key(), m.c.key(), m.d.key(), m.members, m.alpha, m.beta);
        };
        return key(*this) < key(other);
    }
};

// Does it, all sums in the order of their terms.
void multiply(const Multiplication& what);

}  // namespace software
