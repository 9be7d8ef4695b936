/* Counts random paths in tubes, as one would write it in C: normals by the ziggurat (Marsaglia and Tsang 2000, 256 layers) on
 * xoshiro256+ (Blackman and Vigna 2018), then every particle against every tube until the first step outside.
 *
 *     cc -O3 -march=native -pthread motion.c -lm
 *     motion TUBES.txt WIDTH PARTICLES THREADS   prints the number that arrived and the sum over the tubes
 *     motion --clock                             prints the clock in GHz: a chain of dependent additions, one a cycle
 *
 * TUBES.txt: the number of tubes and of steps, then the offsets of every tube at steps 1 … N.
 */
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LAYERS = 256, MAX_STEPS = 64 };

static double edge[LAYERS + 1], height[LAYERS + 1];

/* The layers have equal areas; the lowest holds the tail beyond `edge[1]`. */
static void make_ziggurat(void) {
    const double tail = 3.6541528853610088, area = 0.00492867323399;
    edge[0] = area / exp(-0.5 * tail * tail);
    edge[1] = tail;
    height[1] = exp(-0.5 * tail * tail);
    for (int i = 2; i < LAYERS; i++) {
        height[i] = height[i - 1] + area / edge[i - 1];
        edge[i] = sqrt(-2.0 * log(height[i]));
    }
    edge[LAYERS] = 0.0;
    height[0] = 0.0;
    height[LAYERS] = 1.0;
}

typedef struct {
    uint64_t s[4];
} Random;

static inline uint64_t bits(Random *r) {
    uint64_t *s = r->s, result = s[0] + s[3], t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = s[3] << 45 | s[3] >> 19;
    return result;
}

static inline double unit(uint64_t bits) { return ((bits >> 12) + 0.5) * 0x1p-52; }

static double normal(Random *r) {
    for (;;) {
        uint64_t b = bits(r);
        int layer = b & (LAYERS - 1);
        double sign = b & LAYERS ? -1.0 : 1.0;
        double x = unit(b) * edge[layer];
        if (x < edge[layer + 1]) return sign * x;
        if (layer == 0) {
            double beyond, y;
            do {
                beyond = -log(unit(bits(r))) / edge[1];
                y = -log(unit(bits(r)));
            } while (2.0 * y < beyond * beyond);
            return sign * (edge[1] + beyond);
        }
        double y = height[layer] + unit(bits(r)) * (height[layer + 1] - height[layer]);
        if (y < exp(-0.5 * x * x)) return sign * x;
    }
}

typedef struct {
    int tubes, steps;
    const double *centres;
    double half;
    uint64_t particles, seed, arrived;
    uint64_t *counts;
} Work;

static void *count(void *given) {
    Work *w = given;
    Random random;
    uint64_t seed = w->seed;
    for (int i = 0; i < 4; i++) { /* splitmix64 */
        uint64_t z = seed += 0x9e3779b97f4a7c15;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        random.s[i] = z ^ z >> 31;
    }
    double path[MAX_STEPS];
    for (uint64_t p = 0; p < w->particles; p++) {
        double x = 0.0;
        for (int i = 0; i < w->steps; i++) path[i] = x += normal(&random);
        w->arrived += fabs(x) <= w->half;
        for (int k = 0; k < w->tubes; k++) {
            const double *centre = w->centres + k * w->steps;
            int i = 0;
            while (i < w->steps && fabs(path[i] - centre[i]) <= w->half) i++;
            w->counts[k] += i == w->steps;
        }
    }
    return NULL;
}

static int print_clock(void) {
    const uint64_t additions = 2000000000;
    struct timespec start, end;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
    uint64_t sum = 0, one = 1;
    for (uint64_t i = 0; i < additions / 8; i++) {
        /* Nothing that a compiler could fold. */
        __asm__ volatile("add %1, %0\n add %1, %0\n add %1, %0\n add %1, %0\n"
                         "add %1, %0\n add %1, %0\n add %1, %0\n add %1, %0\n" : "+r"(sum) : "r"(one));
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    double seconds = (end.tv_sec - start.tv_sec) + 1e-9 * (end.tv_nsec - start.tv_nsec);
    printf("%.3f\n", sum / seconds / 1e9);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--clock") == 0) return print_clock();
    if (argc != 5) return fprintf(stderr, "usage: motion TUBES.txt WIDTH PARTICLES THREADS | --clock\n"), 2;
    int tubes, steps, threads = atoi(argv[4]);
    FILE *file = fopen(argv[1], "r");
    if (!file || fscanf(file, "%d %d", &tubes, &steps) != 2 || steps > MAX_STEPS || threads < 1) return 2;
    double *centres = malloc(sizeof(double) * tubes * steps);
    for (int i = 0; i < tubes * steps; i++)
        if (fscanf(file, "%lf", centres + i) != 1) return 2;
    fclose(file);
    make_ziggurat();
    uint64_t particles = strtoull(argv[3], NULL, 10);
    Work *work = calloc(threads, sizeof *work);
    pthread_t *ids = malloc(sizeof *ids * threads);
    for (int t = 0; t < threads; t++) {
        uint64_t from = particles * t / threads, to = particles * (t + 1) / threads;
        work[t] = (Work){tubes, steps, centres, 0.5 * atof(argv[2]), to - from, t + 1, 0, calloc(tubes, 8)};
        pthread_create(ids + t, NULL, count, work + t);
    }
    uint64_t arrived = 0, sum = 0;
    for (int t = 0; t < threads; t++) {
        pthread_join(ids[t], NULL);
        arrived += work[t].arrived;
        for (int k = 0; k < tubes; k++) sum += work[t].counts[k];
    }
    printf("%llu %llu\n", (unsigned long long)arrived, (unsigned long long)sum);
    return 0;
}
