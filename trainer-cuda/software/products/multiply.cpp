// A product by its definition. Operands are widened first, so that the innermost loop runs along a column of the result.

#include "multiply.h"

#include <cstring>
#include <vector>

namespace software {
namespace {

float widened(uint16_t half) {
    const uint32_t bits = uint32_t{half} << 16;
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

// Rounded to nearest, ties to even.
uint16_t rounded(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    if (x != x) return 0x7fff;
    return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

int64_t place(const Operand& operand, int member, uint64_t row, uint64_t col) {
    return member * operand.distance + static_cast<int64_t>(col) * operand.pitch + static_cast<int64_t>(row);
}

float load(const Operand& operand, int64_t at) {
    if (operand.half) return widened(reinterpret_cast<const uint16_t*>(operand.address)[at]);
    return reinterpret_cast<const float*>(operand.address)[at];
}

void store(const Operand& operand, int64_t at, float x) {
    if (operand.half) {
        reinterpret_cast<uint16_t*>(operand.address)[at] = rounded(x);
    } else {
        reinterpret_cast<float*>(operand.address)[at] = x;
    }
}

// A member of an operand as it enters the product, column after column.
std::vector<float> columns(const Operand& operand, int member) {
    const uint64_t rows = operand.transposed ? operand.cols : operand.rows;
    std::vector<float> all(operand.rows * operand.cols);
    for (uint64_t col = 0; col < operand.cols; col++) {
        for (uint64_t row = 0; row < operand.rows; row++) {
            const uint64_t to = operand.transposed ? row * rows + col : col * rows + row;
            all[to] = load(operand, place(operand, member, row, col));
        }
    }
    return all;
}

}  // namespace

void multiply(const Multiplication& what) {
    const uint64_t rows = what.d.rows, cols = what.d.cols, depth = what.a.transposed ? what.a.rows : what.a.cols;
    std::vector<float> sums(rows);
    for (int member = 0; member < what.members; member++) {
        const std::vector<float> a = columns(what.a, member), b = columns(what.b, member);
        for (uint64_t col = 0; col < cols; col++) {
            sums.assign(rows, 0.0f);
            for (uint64_t k = 0; k < depth; k++) {
                const float* left = &a[k * rows];
                const float right = b[col * depth + k];
                for (uint64_t row = 0; row < rows; row++) sums[row] += left[row] * right;
            }
            for (uint64_t row = 0; row < rows; row++) {
                float y = what.alpha * sums[row];
                // Without a share of it the former value is not read, be it NaN.
                if (what.beta != 0.0f) y += what.beta * load(what.c, place(what.c, member, row, col));
                store(what.d, place(what.d, member, row, col), y);
            }
        }
    }
}

}  // namespace software
