/* SPDX-License-Identifier: BSD-3-Clause */
/* A murmuration: birds fly along a few wandering curves, close together where the curves turn. The
 * sky counts them per cell, and the count chooses the character. */
#include "node/lolwut.h"

#include "base/memory.h"

enum { LOLWUT_RIBBONS = 3, LOLWUT_BIRDS_PER_COLUMN = 14 };

struct lolwut_bird {
    double x, y, turn, slope;
};

static double lolwut_spread(struct prng *prng, double width) {
    /* The sum of three draws is nearly a bell. */
    return (prng_unit(prng) + prng_unit(prng) + prng_unit(prng) - 1.5) * width;
}

static void lolwut_fly(struct prng *prng, unsigned columns, unsigned rows, unsigned char *sky) {
    struct lolwut_bird bird = {
        .x = prng_unit(prng) * columns * 0.3,
        .y = (0.2 + 0.6 * prng_unit(prng)) * rows,
        .slope = prng_unit(prng) - 0.5,
    };
    while (bird.x < columns) {
        double width = (double)rows / (4 + 8 * (bird.slope < 0 ? -bird.slope : bird.slope));
        for (unsigned i = 0; i < LOLWUT_BIRDS_PER_COLUMN; i++) {
            int row = (int)(bird.y + lolwut_spread(prng, width));
            int column = (int)(bird.x + lolwut_spread(prng, 3));
            if (row >= 0 && row < (int)rows && column >= 0 && column < (int)columns &&
                sky[(unsigned)row * columns + (unsigned)column] < UINT8_MAX) {
                sky[(unsigned)row * columns + (unsigned)column]++;
            }
        }
        bird.turn += (prng_unit(prng) - 0.5) * 0.2;
        bird.turn *= 0.95;
        bird.slope += bird.turn * 0.3 + (rows * 0.5 - bird.y) / rows * 0.08;
        bird.y += bird.slope * 0.6;
        bird.x += 1;
    }
}

void lolwut_draw(struct prng *prng, unsigned columns, unsigned rows, struct buffer *text) {
    static const char SHADES[] = " .'`:;vwvVW";
    unsigned char *sky = memory_alloc_zero((size_t)columns * rows);
    for (unsigned i = 0; i < LOLWUT_RIBBONS; i++) {
        lolwut_fly(prng, columns, rows, sky);
    }
    for (unsigned row = 0; row < rows; row++) {
        for (unsigned column = 0; column < columns; column++) {
            unsigned birds = sky[row * columns + column];
            const unsigned darkest = sizeof(SHADES) - 2;
            buffer_append_byte(text, (uint8_t)SHADES[birds < darkest ? birds : darkest]);
        }
        buffer_append_byte(text, '\n');
    }
    memory_free(sky);
}
