/** What the page takes from d3-scale, which ships no types. */
declare module "d3-scale" {
  interface LinearScale<Range> {
    (value: number): Range;
    domain(): number[];
    domain(stops: number[]): LinearScale<Range>;
    range(colors: number[][]): LinearScale<number[]>;
    nice(count: number): LinearScale<Range>;
    ticks(count: number): number[];
  }
  export function scaleLinear(): LinearScale<number>;
}
