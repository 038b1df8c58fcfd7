/** The card in the middle that every screen of signing in is drawn in: title above, what can be done below. */
import type { ReactNode } from 'react';
import { Mark } from '../../look/pieces.tsx';
import { useMain } from '../app-context.ts';
import css from './sign-in.module.css';

export const Frame = ({ title, children, down }: { title: string; children: ReactNode; down: ReactNode }) => {
  const { state } = useMain();
  return (
    <div className={css['ground']}>
      {state.notAws.length > 0 && (
        <p className={css['notAws']}>
          <b>Not AWS.</b> This app talks to {state.notAws.join(', ')}.
        </p>
      )}
      <main className={css['window']}>
        <div className={css['brand']}>
          <Mark /> Curfew
        </div>
        <h1>{title}</h1>
        {children}
        <div className={css['down']}>{down}</div>
      </main>
    </div>
  );
};
