/** The one function the page takes from d3-scale, which ships no types. */
declare module "d3-scale" {
  interface ColorScale {
    (value: number): number[];
    domain(stops: number[]): ColorScale;
    range(colors: number[][]): ColorScale;
    clamp(on: boolean): ColorScale;
  }
  export function scaleLinear(): ColorScale;
}
