/** Questions to answer with the page: predict, try, then read what comes out. tests/page/exercises.test.mjs holds the answers to the library. */
interface Exercise {
  readonly title: string;
  readonly ask: string;
  /** Where to try it. */
  readonly link: string;
  readonly answer: string;
}

const to = (view: string, parameters: Record<string, string>): string => `#${view}?${new URLSearchParams(parameters)}`;

export const EXERCISES: readonly Exercise[] = [
  {
    title: "Who looks back, who looks ahead?",
    ask: "Two heads of layer 1 lean to a neighbour of each token. Find the one that looks ahead and the one that looks back.",
    link: to("show", { head: "1.3" }),
    answer:
      "Head 1.3 gives the next token 0.38 of its weight on average, head 1.4 gives the previous one 0.30. Both give the most to the token itself. Other texts give other numbers: see whether the habit stays.",
  },
  {
    title: "What is “it”?",
    ask: "Head 2.2 lets “it” look at “cat” when the cat is tired. Where does it look when the last word is “soft”, which fits the chair?",
    link: to("show", {
      with: "The cat sat on the chair because it was soft.",
      head: "2.2",
      cell: "7,1",
      cell2: "7,1",
    }),
    answer:
      "At “cat” again: 0.68 with “tired”, 0.70 with “soft”. What looks like a head that finds what a pronoun stands for is not one.",
  },
  {
    title: "Does word order matter?",
    ask: "How alike are “The dog saw the cat.” and “The cat saw the dog.” to the model: 0, 0.5 or nearly 1?",
    link: to("show", { text: "The dog saw the cat.", with: "The cat saw the dog." }),
    answer:
      "0.99: the embedding is a mean over tokens, and hardly knows who saw whom. The head whose absence changes that most is 1.3: without it 0.94.",
  },
  {
    title: "The same question in other words",
    ask: "“How old are you?” and “What is your age?” share one mark alone, and are 0.84 alike. Switch off all four heads of layer 1. What becomes of it?",
    link: to("show", { text: "How old are you?", with: "What is your age?" }),
    answer:
      "0.39. Without the heads of layer 2 instead it is 0.73: here the first layer does more of the work. The meaning of a question is not in its single words.",
  },
  {
    title: "A small word",
    ask: "“not” turns a sentence into its opposite. How alike are “I like this film.” and “I do not like this film.” to the model?",
    link: to("show", { text: "I like this film.", with: "I do not like this film." }),
    answer:
      "0.84: as alike as two ways to ask for somebody's age. Alike means about the same things, not of the same opinion. Without head 2.2 it is 0.75.",
  },
  {
    title: "Always the same word",
    ask: "In “again again again again again again” all words are the same. Can any head tell them apart, and by what?",
    link: to("show", { text: "again again again again again again", head: "1.4" }),
    answer:
      "The heads of layer 1 can: head 1.4 gives the previous token 0.58. Positions are added to the words before the first layer. In layer 2 all four heads spread their weight nearly evenly: their entropies are 0.98 and more.",
  },
  {
    title: "What softmax does",
    ask: "For the query “it” of head 2.2, q · k is 62.7 for “cat” and 43.6 for “chair”: 1.4 times as much. How many times as much weight does “cat” get?",
    link: to("step", { head: "2.2", cell: "7,1" }),
    answer:
      "5.4 times: 0.678 and 0.125. Softmax turns differences into ratios: (62.7 − 43.6) / √128 is 1.69, and e to the power of that is 5.4.",
  },
  {
    title: "Two wishes, one head",
    ask: "In the toy: can one head give the previous token 60 % and also the token itself 60 %? Try, then say why heads come in several.",
    link: "#step",
    answer:
      "No: the weights of a query add up to 1. One head returns one mixture; two heads can fulfil one wish each. That is what the parts “Train” and “Prune” go on with.",
  },
];
